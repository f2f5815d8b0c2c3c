"""Rows of a ledger, short to write, and the sums that SQL would make of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from fleet.traffic.budget.book import Book
from fleet.traffic.budget.calendar import BudgetCalendar, Month
from fleet.traffic.budget.limits import Scope, Sum
from fleet.traffic.budget.tally import scopes_of
from fleet.vocabulary.contracts.ledger import (
    Adjustment,
    CostSource,
    Owner,
    Request,
    Reservation,
    Row,
    Settlement,
)
from fleet.vocabulary.names import Track

USD = 10**12
HOUR = 3_600_000
DAY = 24 * HOUR
CI = Owner(key="ci", person="ada", team="core")


def at(text: str) -> int:
    """`2026-12-28 09:00` (UTC) in milliseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOON = at("2026-11-18 12:00")


def reservation(
    id_: str,
    pico: int,
    when: int = NOON,
    *,
    owner: Owner = CI,
    track: Track = Track.DOLLAR,
    ticket: str = "SEC-1",
    incident: str = "",
    gray: bool = False,
) -> Reservation:
    return Reservation(
        id=id_,
        request=id_.partition("/")[0],
        at_milliseconds=when,
        owner=owner,
        route="audit",
        track=track,
        upstream="opus",
        model="opus",
        pico=pico,
        gray=gray,
        ticket=ticket,
        incident=incident,
    )


def settlement(id_: str, pico: int, when: int = NOON, source: CostSource = CostSource.PROVIDER) -> Settlement:
    return Settlement(id=id_, at_milliseconds=when, pico=pico, source=source)


def adjustment(id_: str, pico: int, when: int = NOON, *, of: str = "", track: Track = Track.DOLLAR) -> Adjustment:
    return Adjustment(id=id_, of=of, at_milliseconds=when, pico=pico, track=track, note="")


def request(
    id_: str, tokens: int | None, when: int = NOON, *, owner: Owner = CI, track: Track = Track.TOKEN
) -> Request:
    return Request(
        id=id_,
        at_milliseconds=when,
        owner=owner,
        asked="agents",
        route="agents",
        track=track,
        prompt_tokens=tokens,
        completion_tokens=tokens,
    )


def spent_row(id_: str, pico: int, when: int = NOON, **what: object) -> list[Row]:
    """An attempt that was reserved and settled at one instant."""
    return [reservation(id_, pico, when, **what), settlement(id_, pico, when)]  # type: ignore[arg-type]


_RANKS = {source: rank for rank, source in enumerate(CostSource)}


def sql_sum(rows: Sequence[Row], scope: Scope, month: Month, calendar: BudgetCalendar) -> Sum:
    """`SELECT sum(...)` over tables with a primary key each: the reference that a book must equal."""
    reserved = {row.id: row for row in rows if isinstance(row, Reservation)}
    adjusted = {row.id: row for row in rows if isinstance(row, Adjustment)}
    requests = {row.id: row for row in rows if isinstance(row, Request)}
    settled: dict[str, Settlement] = {}
    for row in rows:
        if isinstance(row, Settlement):
            known = settled.get(row.id)
            rank = (_RANKS[row.source], row.at_milliseconds, row.pico)
            if known is None or rank < (_RANKS[known.source], known.at_milliseconds, known.pico):
                settled[row.id] = row
    promised = spent = tokens = 0
    for one in reserved.values():
        if calendar.month(one.at_milliseconds) == month and scope in scopes_of(
            one.owner, one.track, one.ticket, one.incident
        ):
            if one.id in settled:
                spent += settled[one.id].pico
            else:
                promised += one.pico
    for change in adjusted.values():
        of = reserved.get(change.of)
        when = change.at_milliseconds if of is None else of.at_milliseconds
        whose = (
            scopes_of(Owner(key="?"), change.track)[:2]
            if of is None
            else scopes_of(of.owner, of.track, of.ticket, of.incident)
        )
        if calendar.month(when) == month and scope in whose:
            spent += change.pico
    for ended in requests.values():
        if calendar.month(ended.at_milliseconds) == month and scope in scopes_of(ended.owner, ended.track):
            tokens += (ended.prompt_tokens or 0) + (ended.completion_tokens or 0)
    return Sum(spent, promised, tokens, 0)


def filled(rows: Iterable[Row], calendar: BudgetCalendar) -> Book:
    book = Book(calendar)
    for row in rows:
        book.add(row)
    return book
