"""What of money and policy people are told without asking: parts of caps that were reached, gray pools taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from fleet.node.gateway.policy.desk import Desk
from fleet.traffic.budget.alerts import ALERT, AlertData, alerts_due
from fleet.traffic.budget.dollar import DOLLAR
from fleet.traffic.budget.limits import Limit
from fleet.traffic.gray.standing import DISABLED, ROLLED_BACK
from fleet.vocabulary.contracts.ledger import Note, Request
from fleet.vocabulary.contracts.notice import Notice
from fleet.vocabulary.money import shown
from fleet.vocabulary.names import Health

Tell = Callable[[Notice], None]
_ANY = 0
"""Two limits are one whatever their clients are told."""


class Alerter:
    """`look` regularly: every part of a cap is told once a month. A pool that is taken back is told at once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.tell: Tell = _nobody
        desk.treasury.noticed.append(self._heard)

    def look(self) -> None:
        """Write and tell what has become due."""
        desk = self._desk
        book, now = desk.treasury.book, desk.treasury.now
        told = {note.id for note in desk.treasury.notes if note.kind == ALERT}
        stopped = {replace(limit, status=_ANY) for limit in desk.till.stopped}
        desk.till.stopped.clear()
        limits = [replace(limit, status=_ANY) for limit in self._limits()]
        for note in alerts_due(book, limits, desk.rules.policy.alerts, told=told, at=now, stopped=stopped):
            desk.treasury.write(note)

    def _limits(self) -> Iterator[Limit]:
        rules = self._desk.rules
        yield from rules.caps.all(rules.loaded.keys.keys)
        if rules.dollar is not None:
            yield Limit(DOLLAR, rules.dollar.history.newest.cap_pico)

    def _heard(self, row: Request | Note) -> None:
        if not isinstance(row, Note):
            return
        text = sentence(row)
        if text:
            self.tell(notice(row, text, front=self._desk.rules.loaded.config.node))


def sentence(note: Note) -> str:
    """What people are told of a note; "" = nothing."""
    if note.kind == ALERT:
        try:
            data = msgspec.json.decode(note.data, type=AlertData)
        except msgspec.DecodeError:
            return ""
        unit = "tokens" if data.unit == "tokens" else "USD"
        amounts = (data.reached, data.limit) if unit == "tokens" else (shown(data.reached), shown(data.limit))
        return (
            f"{note.subject} has used or promised {amounts[0]} of {amounts[1]} {unit} of this front's part this month"
        )
    if note.kind == ROLLED_BACK:
        return f"the gray pool {note.subject} was taken back: its tool calls fail more often than the week before"
    if note.kind == DISABLED and note.by in ("provider", "burst"):
        why = (
            "the provider has its model no more" if note.by == "provider" else "five of its tool calls in a row failed"
        )
        return f"the gray pool {note.subject} is out: {why}"
    return ""


def notice(note: Note, text: str, *, front: str) -> Notice:
    """The same for the webhook."""
    at = datetime.fromtimestamp(note.at_milliseconds / 1000, UTC)
    gray = note.kind != ALERT
    return Notice(
        id=f"{front}/{note.id}",
        fault=f"{front}/{note.id}",
        front=front,
        state="began",
        node=front,
        check="gray_pool" if gray else "budget",
        subject=note.subject,
        before=Health.OK,
        after=Health.WARN,
        text=f"{front}: {text}.",
        what=text,
        do="fleet gray status" if gray else "fleet budget",
        since=at,
        at=at,
    )


def _nobody(notice: Notice) -> None:
    """See Alerter."""
