"""Rows as SQLite keeps them, and back. Pure.

Values are plain str and int, never an enum or a bool: sqlite3 binds those ten times slower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fleet.vocabulary.contracts.ledger import (
    Adjustment,
    CostSource,
    Dispatch,
    Note,
    Owner,
    Request,
    Reservation,
    Row,
    Settlement,
    ToolVerdict,
)
from fleet.vocabulary.names import Sensitivity, Track

Values = tuple[Any, ...]


@dataclass(frozen=True)
class Table:
    """A table and its kind of rows. `columns` without `seq`, in the order of the values."""

    name: str
    columns: tuple[str, ...]
    values: Callable[[Any], Values]
    row: Callable[[Values], Row]

    @property
    def listed(self) -> str:
        """The columns as SQL writes them."""
        return ", ".join(self.columns)


@lru_cache(maxsize=256)
def insert(name: str, columns: tuple[str, ...], rows: int) -> str:
    """One statement for so many rows. A row whose id is there already is passed over."""
    one = f"({', '.join('?' * len(columns))})"
    values = ", ".join([one] * rows)
    return f"INSERT INTO {name} ({', '.join(columns)}) VALUES {values} ON CONFLICT (id) DO NOTHING"  # noqa: S608 (names of ours)


def _reservation(row: Reservation) -> Values:
    owner = row.owner
    return (
        *(row.id, row.request, row.at_milliseconds, owner.key, owner.person, owner.team, owner.app, row.route),
        *(row.track._value_, row.upstream, row.model, row.pico, 1 if row.gray else 0, row.ticket, row.incident),
    )


def _reserved(values: Values) -> Reservation:
    return Reservation(
        id=values[0],
        request=values[1],
        at_milliseconds=values[2],
        owner=Owner(key=values[3], person=values[4], team=values[5], app=values[6]),
        route=values[7],
        track=Track(values[8]),
        upstream=values[9],
        model=values[10],
        pico=values[11],
        gray=bool(values[12]),
        ticket=values[13],
        incident=values[14],
    )


def _dispatch(row: Dispatch) -> Values:
    return row.id, row.generation, row.at_milliseconds


def _dispatched(values: Values) -> Dispatch:
    return Dispatch(id=values[0], generation=values[1], at_milliseconds=values[2])


def _settlement(row: Settlement) -> Values:
    return row.id, row.at_milliseconds, row.pico, row.source._value_


def _settled(values: Values) -> Settlement:
    return Settlement(id=values[0], at_milliseconds=values[1], pico=values[2], source=CostSource(values[3]))


def _adjustment(row: Adjustment) -> Values:
    return row.id, row.of, row.at_milliseconds, row.pico, row.track._value_, row.note


def _adjusted(values: Values) -> Adjustment:
    return Adjustment(
        id=values[0],
        of=values[1],
        at_milliseconds=values[2],
        pico=values[3],
        track=Track(values[4]),
        note=values[5],
    )


def _request(row: Request) -> Values:
    owner = row.owner
    verdict = row.tool_verdict
    return (
        *(row.id, row.at_milliseconds, owner.key, owner.person, owner.team, owner.app, row.asked, row.route),
        *(row.track._value_, row.upstream, row.node, row.model, row.outcome, row.status, row.surface),
        *(1 if row.stream else 0, row.sensitivity._value_, 1 if row.eligible else 0, 1 if row.gray else 0, row.folded),
        *(row.ticket, row.incident, row.attempts, row.session, row.prompt_tokens, row.completion_tokens),
        *(row.cached_tokens, row.reasoning_tokens, row.seconds, row.queued_seconds, row.first_token_seconds),
        *(row.tools_at_seconds, row.tools_offered, None if verdict is None else verdict._value_, row.pico),
    )


def _requested(values: Values) -> Request:
    return Request(
        id=values[0],
        at_milliseconds=values[1],
        owner=Owner(key=values[2], person=values[3], team=values[4], app=values[5]),
        asked=values[6],
        route=values[7],
        track=Track(values[8]),
        upstream=values[9],
        node=values[10],
        model=values[11],
        outcome=values[12],
        status=values[13],
        surface=values[14],
        stream=bool(values[15]),
        sensitivity=Sensitivity(values[16]),
        eligible=bool(values[17]),
        gray=bool(values[18]),
        folded=values[19],
        ticket=values[20],
        incident=values[21],
        attempts=values[22],
        session=values[23],
        prompt_tokens=values[24],
        completion_tokens=values[25],
        cached_tokens=values[26],
        reasoning_tokens=values[27],
        seconds=values[28],
        queued_seconds=values[29],
        first_token_seconds=values[30],
        tools_at_seconds=values[31],
        tools_offered=values[32],
        tool_verdict=None if values[33] is None else ToolVerdict(values[33]),
        pico=values[34],
    )


def _note(row: Note) -> Values:
    return row.id, row.kind, row.subject, row.at_milliseconds, row.by, row.until_milliseconds, row.data


def _noted(values: Values) -> Note:
    return Note(
        id=values[0],
        kind=values[1],
        subject=values[2],
        at_milliseconds=values[3],
        by=values[4],
        until_milliseconds=values[5],
        data=values[6],
    )


_OWNER = ("key", "person", "team", "app")
_RESERVED = (
    *("id", "request", "at", *_OWNER, "route", "track", "upstream", "model", "pico", "gray", "ticket"),
    "incident",
)
_REQUESTED = (
    *("id", "at", *_OWNER, "asked", "route", "track", "upstream", "node", "model", "outcome", "status", "surface"),
    *("stream", "sensitivity", "eligible", "gray", "folded", "ticket", "incident", "attempts", "session"),
    *("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "seconds", "queued_seconds"),
    *("first_token_seconds", "tools_at_seconds", "tools_offered", "tool_verdict", "pico"),
)

RESERVATIONS = Table("reservation", _RESERVED, _reservation, _reserved)
DISPATCHES = Table("dispatch", ("id", "generation", "at"), _dispatch, _dispatched)
SETTLEMENTS = Table("settlement", ("id", "at", "pico", "source"), _settlement, _settled)
ADJUSTMENTS = Table("adjustment", ("id", "of", "at", "pico", "track", "note"), _adjustment, _adjusted)
REQUESTS = Table("request", _REQUESTED, _request, _requested)
NOTES = Table("note", ("id", "kind", "subject", "at", "by", "until", "data"), _note, _noted)

TABLES: tuple[Table, ...] = (RESERVATIONS, DISPATCHES, SETTLEMENTS, ADJUSTMENTS, REQUESTS, NOTES)

_BY_KIND: dict[type, Table] = {
    Reservation: RESERVATIONS,
    Dispatch: DISPATCHES,
    Settlement: SETTLEMENTS,
    Adjustment: ADJUSTMENTS,
    Request: REQUESTS,
    Note: NOTES,
}


def grouped(rows: Sequence[Row]) -> dict[Table, list[Values]]:
    """The values of each table, in the order of the rows."""
    found: dict[Table, list[Values]] = {}
    for row in rows:
        table = _BY_KIND[type(row)]
        values = table.values(row)
        if table in found:
            found[table].append(values)
        else:
            found[table] = [values]
    return found
