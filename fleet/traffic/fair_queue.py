"""Who waits for a place, and whose turn it is. Pure: a data structure, no clock, no task.

Interactive before batch, but one turn in sixteen is batch's first. Inside a lane the keys take turns, whatever each has
waiting; inside a key of one route, first come first served. Who waits for one route stands in nobody's way to another.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fleet.traffic.config import Queue
from fleet.vocabulary.names import Lane

BATCH_TURN = 16

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Spot:
    lane: Lane
    route: Hashable
    key: str


@dataclass(slots=True)
class _Line:
    """Those of one lane that wait for one route: the keys in the order of their turns, each with its own in order."""

    keys: OrderedDict[str, dict[object, int]] = field(default_factory=OrderedDict)

    def head(self) -> tuple[str, object, int]:
        key, waiting = next(iter(self.keys.items()))
        item, number = next(iter(waiting.items()))
        return key, item, number


class FairQueue(Generic[T]):
    """Items that wait. Every item is in it once; `route` groups those that wait for the same thing."""

    def __init__(self, bounds: Queue | None = None) -> None:
        self.bounds = bounds or Queue()
        self._spots: dict[T, _Spot] = {}
        self._lines: dict[Lane, dict[Hashable, _Line]] = {lane: {} for lane in Lane}
        self._turns: dict[tuple[Lane, str], int] = {}
        self._per_key: dict[str, int] = {}
        self._number = 0
        self._since_batch = 0

    def __len__(self) -> int:
        return len(self._spots)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._spots))

    def __contains__(self, item: T) -> bool:
        return item in self._spots

    def waiting(self, lane: Lane) -> int:
        """How many of a lane wait."""
        return sum(len(items) for line in self._lines[lane].values() for items in line.keys.values())

    def push(self, item: T, *, lane: Lane, key: str, route: Hashable) -> bool:
        """Let `item` wait. False when too many wait already, in all or of its key."""
        held = self._per_key.get(key, 0)
        if len(self._spots) >= self.bounds.longest or held >= self.bounds.per_key or item in self._spots:
            return False
        self._number += 1
        self._spots[item] = _Spot(lane, route, key)
        self._per_key[key] = held + 1
        self._turns.setdefault((lane, key), self._number)
        line = self._lines[lane].setdefault(route, _Line())
        line.keys.setdefault(key, {})[item] = self._number
        return True

    def remove(self, item: T) -> bool:
        """`item` waits no longer; nobody else moves. False when it did not wait."""
        spot = self._spots.pop(item, None)
        if spot is None:
            return False
        lines = self._lines[spot.lane]
        line = lines[spot.route]
        waiting = line.keys[spot.key]
        del waiting[item]
        if not waiting:
            del line.keys[spot.key]
            if not line.keys:
                del lines[spot.route]
            if not any(spot.key in other.keys for other in lines.values()):
                del self._turns[spot.lane, spot.key]
        left = self._per_key[spot.key] - 1
        if left:
            self._per_key[spot.key] = left
        else:
            del self._per_key[spot.key]
        return True

    def pop_if(self, placeable: Callable[[T], bool]) -> T | None:
        """The first in fair order that `placeable` takes; None when it takes nobody.

        Per lane and route it is asked of the first only: who is behind another does not overtake on the same route.
        """
        refused: set[Hashable] = set()
        for lane in self._lanes():
            lines = self._lines[lane]
            for route in self._order(lane):
                if route in refused:
                    continue
                key, found, _ = lines[route].head()
                item: T = found  # type: ignore[assignment]
                if placeable(item):
                    self._turn(lane, key)
                    self.remove(item)
                    return item
                refused.add(route)
        return None

    def _lanes(self) -> tuple[Lane, ...]:
        if self._lines[Lane.BATCH] and self._since_batch >= BATCH_TURN - 1:
            return (Lane.BATCH, Lane.INTERACTIVE)
        return (Lane.INTERACTIVE, Lane.BATCH)

    def _order(self, lane: Lane) -> list[Hashable]:
        """The routes of a lane, by whose key has waited longest for its turn, then by who came first."""
        lines = self._lines[lane]
        if len(lines) < 2:
            return list(lines)

        def due(route: Hashable) -> tuple[int, int]:
            key, _, number = lines[route].head()
            return self._turns[lane, key], number

        return sorted(lines, key=due)

    def _turn(self, lane: Lane, key: str) -> None:
        """It was `key`'s turn: on every route it goes behind the others."""
        self._number += 1
        self._turns[lane, key] = self._number
        for line in self._lines[lane].values():
            if key in line.keys:
                line.keys.move_to_end(key)
        if lane is Lane.BATCH:
            self._since_batch = 0
        elif self._lines[Lane.BATCH]:
            self._since_batch += 1
