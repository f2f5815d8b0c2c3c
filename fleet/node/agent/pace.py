"""When things run: the fast tick, which is never late for long, and errands, which give way to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fleet.node.agent.parts import NEVER
from fleet.vocabulary.clock import Clock


class Ticker:
    """Calls `tick` every `seconds`. After a pause (the machine slept) it goes on from now, without catching up."""

    def __init__(self, seconds: float, tick: Callable[[], None], *, first_at: float) -> None:
        self._seconds, self._tick, self._next = seconds, tick, first_at
        self.late_seconds: float | None = None
        self.most_late_seconds: float | None = None

    def next_at(self) -> float:
        """When it ticks next."""
        return self._next

    def wake(self, now: float) -> None:
        """Tick when it is time, and remember how late that was."""
        if now < self._next:
            return
        self.late_seconds = now - self._next
        self.most_late_seconds = max(self.most_late_seconds or 0.0, self.late_seconds)
        self._next += self._seconds
        if self._next <= now:
            self._next = now + self._seconds
        self._tick()


@dataclass(frozen=True, kw_only=True)
class Errand:
    """Something that may take a while, in seconds between two runs."""

    name: str
    every_seconds: float
    run: Callable[[], None]


@dataclass
class _Planned:
    errand: Errand
    next_at: float
    took_seconds: float = 0.0


class Errands:
    """Runs one errand per round of the loop, the longest due first.

    One that would not be done before the next tick, by the time that it took last, waits until that tick is over. So a
    tick is late by one errand at most, and only by one that takes longer than ever before, or half a pace and more.
    """

    def __init__(
        self, errands: Sequence[Errand], clock: Clock, *, tick_at: Callable[[], float], tick_seconds: float
    ) -> None:
        now = clock.monotonic()
        self._clock, self._tick_at, self._tick_seconds = clock, tick_at, tick_seconds
        self._planned = [_Planned(errand, now) for errand in errands]

    def next_at(self) -> float:
        """When the next errand may run."""
        if not self._planned:
            return NEVER
        first, now = self._first(), self._clock.monotonic()
        return first.next_at if first.next_at > now or self._fits(first, now) else self._tick_at()

    def wake(self, now: float) -> None:
        """Run one, when one is due and there is time for it."""
        first = self._first()
        if now < first.next_at or not self._fits(first, now):
            return
        first.next_at = now + first.errand.every_seconds
        first.errand.run()
        first.took_seconds = self._clock.monotonic() - now

    def _first(self) -> _Planned:
        return min(self._planned, key=lambda planned: planned.next_at)

    def _fits(self, planned: _Planned, now: float) -> bool:
        return now + planned.took_seconds <= self._tick_at() or planned.took_seconds >= self._tick_seconds / 2
