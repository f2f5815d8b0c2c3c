"""Whether this laptop slept, and keeping it from that while a run is live.

A connection that slept is dead and does not know: the wall clock went on where the monotonic one stood still.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from fleet.vocabulary.argv import Argv
from fleet.vocabulary.clock import Clock

_JUMP_SECONDS = 30.0


class SleepWatch:
    """Asked now and then, it says for how long the machine slept since it was asked last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall, self._steady = clock.now(), clock.monotonic()

    def look(self) -> float:
        """Seconds slept since the last look; 0 below half a minute, which a connection survives."""
        wall, steady = self._clock.now(), self._clock.monotonic()
        jump = (wall - self._wall).total_seconds() - (steady - self._steady)
        self._wall, self._steady = wall, steady
        return jump if jump >= _JUMP_SECONDS else 0.0


class Child(Protocol):
    """A process that was started."""

    def terminate(self) -> None:
        """End it."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Its status."""
        ...


Spawn = Callable[[Argv], Child]


def caffeinate(pid: int) -> Argv:
    """The command that keeps a Mac from idle sleep as long as that process lives (caffeinate(8))."""
    return Argv.of("/usr/bin/caffeinate", "-i", "-w", pid)


class Awake:
    """While inside, a Mac does not fall asleep by itself; elsewhere nothing. One that refuses is no reason to stop."""

    def __init__(self, *, platform: str, pid: int, spawn: Spawn) -> None:
        self._platform = platform
        self._pid = pid
        self._spawn = spawn
        self._child: Child | None = None

    def __enter__(self) -> Awake:
        if self._platform == "darwin":
            try:
                self._child = self._spawn(caffeinate(self._pid))
            except OSError:
                self._child = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child:
            self._child.terminate()
            self._child.wait(timeout=5.0)


def spawn(argv: Argv) -> Child:
    """Start it with no ends of our own terminal."""
    null = subprocess.DEVNULL
    return subprocess.Popen(argv.words, stdin=null, stdout=null, stderr=null, start_new_session=True)
