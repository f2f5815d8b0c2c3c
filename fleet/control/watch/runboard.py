"""What is known of every node of a run, from its events. Pure: the clock's seconds come with each event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from fleet.control.watch.flow import Flow
from fleet.vocabulary.contracts.events import Outcome, Phase, RunEvent


class Standing(IntEnum):
    """How a node does; the lower, the more it wants to be seen."""

    FAILED = 0
    WORKS = 1
    WAITS = 2
    FINE = 3


_FINE = (Outcome.CHANGED, Outcome.UNCHANGED)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One node. `event` is the last that said something, `phase` where it is, `flow` the bytes of that phase.

    `why` is the last that said why something failed, or what to do.
    """

    name: str
    event: RunEvent | None = None
    why: RunEvent | None = None
    phase: Phase | None = None
    began: float = 0.0
    ended: float | None = None
    flow: Flow = field(default_factory=Flow)
    trouble: bool = False

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it goes on."""
        return self.event.outcome if self.event else None

    @property
    def standing(self) -> Standing:
        """How it does."""
        if self.event is None:
            return Standing.WAITS
        if self.outcome is None:
            return Standing.FAILED if self.trouble else Standing.WORKS
        return Standing.FINE if self.outcome in _FINE else Standing.FAILED

    def after(self, event: RunEvent, now: float) -> Row:
        """The row when this has happened."""
        began = now if self.event is None else self.began
        flow = self.flow if event.phase is self.phase else Flow()
        if event.bytes_total:
            flow = flow.after(event.bytes_done, event.bytes_total, now)
        return replace(
            self,
            event=event,
            why=event if event.status == "failed" and (event.detail or event.hint) else self.why,
            phase=event.phase,
            began=began,
            ended=now if event.outcome else None,
            flow=flow,
            trouble=self.trouble or (event.status == "failed" and event.outcome is None),
        )

    def seconds(self, now: float) -> float:
        """How long it has worked, or did."""
        return 0.0 if self.event is None else (now if self.ended is None else self.ended) - self.began


@dataclass(frozen=True, kw_only=True)
class Board:
    """All nodes of a run in the order of the inventory. `note` is what the run itself said last."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    note: str = ""
    began: float | None = None

    def after(self, event: RunEvent, now: float) -> Board:
        """The board when this has happened. A node that nobody announced gets its row at the end."""
        began = now if self.began is None else self.began
        if not event.node:
            return replace(self, note=event.text or self.note, began=began)
        row = self.rows.get(event.node, Row(name=event.node)).after(event, now)
        return replace(self, rows={**self.rows, event.node: row}, began=began)

    def fitting(self, lines: int) -> tuple[Row, ...]:
        """The rows for so many lines. When they are too many, only who failed or works has one: the rest is counted."""
        rows = tuple(self.rows.values())
        if len(rows) <= lines:
            return rows
        seen = (row for row in rows if row.standing in (Standing.FAILED, Standing.WORKS))
        return tuple(sorted(seen, key=lambda row: row.standing)[:lines])


def board_of(names: Iterable[str]) -> Board:
    """The board before anything has happened."""
    return Board(rows={name: Row(name=name) for name in names})
