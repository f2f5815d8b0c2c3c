"""Transitions as rows: one for each fault, from its beginning to its end. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from fleet.vocabulary.health.check import rank
from fleet.vocabulary.health.state import Transition
from fleet.vocabulary.names import Health, Intent


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. `node` "" = this laptop. `until` None = it lasts. `health` and `text` are those of its worst time.

    With an `intent` it is no fault, but the time for which somebody had drained the node; `health` is ok then.
    """

    node: str
    check: str
    subject: str = ""
    health: Health
    text: str
    since: datetime
    until: datetime | None = None
    lasted_seconds: float
    next: str = ""
    do: str = ""
    intent: Intent | None = None
    schema: int = 1


def rows_of(transitions: Iterable[Transition], now: datetime) -> tuple[EventRow, ...]:
    """The rows, in the order in which the faults began. What lasts is counted until `now`."""
    ended: list[EventRow] = []
    open_rows: dict[tuple[str, str, str], EventRow] = {}
    for one in transitions:
        key = one.node, one.check, one.subject
        row = open_rows.pop(key, None)
        if one.after is Health.OK and one.intent in (None, Intent.SERVING):
            row = row or _row(one, one.before)
            since = min(row.since, _time(one.since_seconds))
            ended.append(msgspec.structs.replace(row, since=since, until=_time(one.since_seconds)))
        elif row is None:
            open_rows[key] = _row(one, one.after)
        elif rank(one.after) >= rank(row.health):
            open_rows[key] = msgspec.structs.replace(_row(one, one.after), since=min(row.since, _began(one)))
        else:
            open_rows[key] = row
    rows = sorted((*ended, *open_rows.values()), key=lambda row: (row.since, row.node, row.check, row.subject))
    return tuple(
        msgspec.structs.replace(row, lasted_seconds=max(0.0, ((row.until or now) - row.since).total_seconds()))
        for row in rows
    )


def _row(one: Transition, health: Health) -> EventRow:
    return EventRow(
        node=one.node,
        check=one.check,
        subject=one.subject,
        health=health,
        text=one.text or one.check,
        since=_began(one),
        lasted_seconds=0.0,
        next=one.next,
        do=one.do,
        intent=one.intent,
    )


def _began(one: Transition) -> datetime:
    return _time(one.began_seconds)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
