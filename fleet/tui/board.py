"""What the screens show, without a screen: the newest view as rows that stay the same object while nothing changed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping

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
        self._paces: dict[NodeName, deque[float | None]] = {}

    def take(self, view: FleetView) -> None:
        """The newest view. What a row showed before stays, where it shows the same now."""
        if view is self.view:
            return
        self.view = view
        rows: dict[NodeName, TopRow] = {}
        for row in view.rows:
            found = TopRow(_calm(row), self._remember(row))
            before = self._rows.get(row.node)
            rows[row.node] = before if before == found else found
        self._rows = rows
        for gone in self._paces.keys() - rows.keys():
            del self._paces[gone]

    def rows(self, wanted: Filter, order: Order) -> list[TopRow]:
        """Those that are wanted, in order."""
        shown = ordered((one.row for one in self._rows.values() if wanted.lets(one.row)), order)
        return [self._rows[row.node] for row in shown]

    def row(self, node: NodeName) -> TopRow | None:
        """One node."""
        return self._rows.get(node)

    @property
    def counts(self) -> Mapping[Told, int]:
        """How many nodes are in which state, the most urgent first."""
        found = Counter(told(one.row) for one in self._in_order())
        return dict(found)

    def __len__(self) -> int:
        return len(self._rows)

    def _in_order(self) -> Iterable[TopRow]:
        return (self._rows[row.node] for row in ordered((one.row for one in self._rows.values()), Order()))

    def _remember(self, row: NodeRow) -> tuple[float | None, ...]:
        paces = self._paces.setdefault(row.node, deque(maxlen=SPARK_CELLS))
        live = row.age_seconds is not None and row.freshness == "live"
        paces.append(row.tokens_per_second if live else None)
        self.fastest = max(self.fastest, row.tokens_per_second or 0.0)
        return tuple(paces)


def _calm(row: NodeRow) -> NodeRow:
    """The row with its age in steps: a second more alone is no change."""
    age = row.age_seconds
    if age is None or age < _AGE_STEP_SECONDS:
        return row if age is None else msgspec.structs.replace(row, age_seconds=0.0)
    return msgspec.structs.replace(row, age_seconds=age // _AGE_STEP_SECONDS * _AGE_STEP_SECONDS)
