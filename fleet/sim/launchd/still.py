"""The daemons of a light node: launchd books them as running, and nothing runs.

What launchd keeps alive is a daemon. A job that ends by itself (fleet's apply job) is started for real, so that a
deploy is a deploy: it leaves files, receipts and registrations.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field

from fleet.sim.launchd.spawn import Running, Spawner
from fleet.sim.launchd.spec import JobSpec

FIRST_PID = 4_194_305
"""Above every process of Linux (PID_MAX_LIMIT) and macOS: nobody can mistake one for a real one, nor signal it."""


class StillProcess:
    """A process in name. It ends by every signal but SIGHUP, which daemons reload by."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None
        self._ended = asyncio.Event()

    async def wait(self) -> int:
        """Its return code, once somebody ended it."""
        await self._ended.wait()
        return self._code or 0

    def send(self, number: signal.Signals) -> bool:
        """As if it came from launchd."""
        if self._code is not None:
            return False
        if number != signal.SIGHUP:
            self._code = -number
            self._ended.set()
        return True

    def end_group(self) -> None:
        """There is none."""


@dataclass(frozen=True)
class StillSpawner:
    """Starts what ends by itself, and books the rest. A daemon that could not be started fails here, too."""

    real: Spawner
    _pids: Iterator[int] = field(default_factory=lambda: itertools.count(FIRST_PID))

    async def start(self, spec: JobSpec, *, system: bool) -> Running:
        """Raises SpawnFailed."""
        if not spec.keep_alive.any:
            return await self.real.start(spec, system=system)
        self.real.check(spec)
        return StillProcess(next(self._pids))
