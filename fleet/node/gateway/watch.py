"""Limits in time for many calls by one ticker: a call only notes its deadline, which costs nothing per chunk."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

from fleet.node.gateway.failures import ClientGone

_TICK_SECONDS = 0.05


class Watch:
    """The deadlines of one call: that of all its work, and that of what it waits for now.

    When one passes, its task is cancelled; `meant` then tells that cancellation from the client's leaving.
    `unread_seconds`: for how long its client kept it waiting, as far as the ticks saw.
    """

    __slots__ = ("_clock", "_fired", "_limit", "_make", "_task", "_total", "_total_make", "at", "unread_seconds")

    def __init__(
        self, task: asyncio.Task[Any], clock: Callable[[], float], *, seconds: float, late: Callable[[], Exception]
    ) -> None:
        self._task = task
        self._clock = clock
        self._total = clock() + seconds
        self._total_make = late
        self._limit = self._total
        self._make = late
        self._fired: Callable[[], Exception] | None = None
        self.at = self._total
        self.unread_seconds = 0.0

    def within(self, seconds: float, late: Callable[[], Exception]) -> None:
        """What is waited for from now on may take `seconds`, else it fails with what `late` makes."""
        self._limit = self._clock() + seconds
        self._make = late
        self.at = min(self._limit, self._total)

    def since(self, seconds: float) -> float | None:
        """When what may take `seconds` began to be waited for; None while it is the client that keeps us waiting."""
        return None if self._make is reader_stalled else self._limit - seconds

    def extend(self, seconds: float) -> None:
        """There was progress: what is waited for may take `seconds` from now, if that is later."""
        self._limit = max(self._limit, self._clock() + seconds)
        self.at = min(self._limit, self._total)

    def rest(self) -> None:
        """Nothing but the whole is limited."""
        self._limit, self._make, self.at = self._total, self._total_make, self._total

    def tick(self) -> None:
        """A tick passed."""
        if self._make is reader_stalled:  # between two ticks a client that reads has taken what was written
            self.unread_seconds += _TICK_SECONDS

    def fire(self) -> None:
        """A deadline has passed. It is told once: what its task does then is limited by the whole, or by a new one."""
        if self._fired is None and not self._task.done():
            whole = self._limit >= self._total
            self._fired = self._total_make if whole else self._make
            self.rest()
            if whole:
                self.at = math.inf
            self._task.cancel()

    def meant(self, cancelled: asyncio.CancelledError) -> BaseException:
        """What to raise instead of a cancellation: the passed deadline's error, or the cancellation itself."""
        fired, self._fired = self._fired, None
        if fired is None:
            return cancelled
        return fired() if self._task.uncancel() == 0 else cancelled


class Watches:
    """All watches of a gateway. It ticks only while there are any."""

    def __init__(self) -> None:
        self._watches: dict[Watch, None] = {}
        self._ticker: asyncio.TimerHandle | None = None

    def start(self, task: asyncio.Task[Any], *, seconds: float, late: Callable[[], Exception]) -> Watch:
        """Watch `task`. Give it back with `stop`."""
        loop = asyncio.get_running_loop()
        watch = Watch(task, loop.time, seconds=seconds, late=late)
        self._watches[watch] = None
        if self._ticker is None:
            self._ticker = loop.call_later(_TICK_SECONDS, self._tick, loop)
        return watch

    def stop(self, watch: Watch) -> None:
        """Its call is over."""
        self._watches.pop(watch, None)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for watch in tuple(self._watches):
            watch.tick()
            if now >= watch.at:
                watch.fire()
        self._ticker = loop.call_later(_TICK_SECONDS, self._tick, loop) if self._watches else None


def reader_stalled() -> ClientGone:
    """A client that reads nothing for so long is treated as gone."""
    return ClientGone()
