"""What the screens show, without a screen: the newest view as rows that stay the same object while nothing changed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

import msgspec

from fleet.control.watch.rowfilter import Filter
from fleet.control.watch.roworder import Order, ordered
from fleet.control.watch.statewords import Told, told
from fleet.control.watch.view import FleetView, NodeRow
from fleet.tui.overview import SPARK_CELLS, TopRow
from fleet.vocabulary.names import NodeName

_AGE_STEP_SECONDS = 5.0


class Board:
    """Takes views one after the other.

    `problem` says why there is no newer one. `fastest` is the most tokens per second that any node was seen to make.
    """

    def __init__(self) -> None:
        self.view: FleetView | None = None
        self.problem = ""
        self.fastest = 50.0
        self._rows: dict[NodeName, TopRow] = {}
        self._read: dict[NodeName, float | None] = {}
        self._ordered: dict[Order, tuple[TopRow, ...]] = {}
        self._paces: dict[NodeName, deque[float | None]] = {}

    def take(self, view: FleetView) -> None:
        """The newest view. What a row showed before stays, where it shows the same now."""
        if view is self.view:
            return
        self.view = view
        self._ordered = {}
        rows: dict[NodeName, TopRow] = {}
        for row in view.rows:
            found = TopRow(_calm(row), self._remember(row))
            before = self._rows.get(row.node)
            rows[row.node] = before if before == found else found
        self._rows = rows
        for gone in self._paces.keys() - rows.keys():
            del self._paces[gone]
            self._read.pop(gone, None)

    def rows(self, wanted: Filter, order: Order) -> list[TopRow]:
        """Those that are wanted, in order."""
        return [one for one in self.in_order(order) if wanted.lets(one.row)]

    def row(self, node: NodeName) -> TopRow | None:
        """One node."""
        return self._rows.get(node)

    @property
    def counts(self) -> Mapping[Told, int]:
        """How many nodes are in which state, the most urgent first."""
        found = Counter(told(one.row) for one in self.in_order(Order()))
        return dict(found)

    def __len__(self) -> int:
        return len(self._rows)

    def in_order(self, order: Order) -> tuple[TopRow, ...]:
        """All of them, put in order once for each view."""
        if order not in self._ordered:
            rows = ordered((one.row for one in self._rows.values()), order)
            self._ordered[order] = tuple(self._rows[row.node] for row in rows)
        return self._ordered[order]

    def _remember(self, row: NodeRow) -> tuple[float | None, ...]:
        """Looks may come more often than readings: one reading is one point."""
        paces = self._paces.setdefault(row.node, deque(maxlen=SPARK_CELLS))
        live = row.age_seconds is not None and row.freshness == "live"
        read = row.sampled_at_seconds
        if not live or read is None or read != self._read.get(row.node):
            paces.append(row.tokens_per_second if live else None)
        self._read[row.node] = read if live else None
        self.fastest = max(self.fastest, row.tokens_per_second or 0.0)
        return tuple(paces)


def _calm(row: NodeRow) -> NodeRow:
    """The row with its age in steps: a second more alone is no change."""
    age = row.age_seconds
    if age is None or age < _AGE_STEP_SECONDS:
        return row if age is None else msgspec.structs.replace(row, age_seconds=0.0)
    return msgspec.structs.replace(row, age_seconds=age // _AGE_STEP_SECONDS * _AGE_STEP_SECONDS)
