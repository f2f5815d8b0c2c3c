"""Memory that moves while a fault lasts: pages that are swapped out, and files that are read in."""

from __future__ import annotations

import asyncio

from fleet.sim.readings import Readings
from fleet.sim.rhythm import Rhythm

TICK_SECONDS = 0.1
"""Far below the time between two samples of an agent, so that a rate is steady for it."""


class Paging:
    """Moves the counters of a node's readings with time. At rest it costs nothing."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self._swapping = self._loading = 0
        self._at = 0.0
        self._rhythm = Rhythm(self._beat)

    def swap_out(self, bytes_per_second: int) -> None:
        """Swap out so much from now on; 0 ends it. What was swapped out stays counted, as on a Mac."""
        self._swapping = bytes_per_second
        self._turn()

    def read_in(self, bytes_per_second: int) -> None:
        """Read files in, as when a model is mapped; 0 ends it."""
        self._loading = bytes_per_second
        self._turn()

    def stop(self) -> None:
        """Nothing moves any more."""
        self._rhythm.stop()

    def _turn(self) -> None:
        if not (self._swapping or self._loading):
            self._rhythm.stop()
            return
        self._at = asyncio.get_running_loop().time()
        self._rhythm.start()

    async def _beat(self) -> None:
        await asyncio.sleep(TICK_SECONDS)
        now = asyncio.get_running_loop().time()
        seconds, self._at = now - self._at, now
        self._readings.move(swapped_bytes=int(self._swapping * seconds), read_bytes=int(self._loading * seconds))
