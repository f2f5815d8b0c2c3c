"""A hand on real processes: they run a part of the time, or not at all. Signals do it, so everything else is real."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from fleet.sim.rhythm import Rhythm

PERIOD_SECONDS = 0.02
"""One turn of running and standing still: shorter than what a client sees as one."""
NUDGE_SECONDS = 0.25
"""How often it is looked whether SIGTERM waits for a process that stands still: it is let go then, to die of it."""
BLIND_NUDGE_SECONDS = 2.0
"""The same where no /proc says so: every one is let go, for an instant that is too short to answer anything."""
_PROC = Path("/proc")


class Brake:
    """Slows processes, or stops them for good. `running` says which there are now, `slowed` which `slow` is about.

    What stands still takes connections (the kernel does) and never answers. It dies by SIGTERM as it did before: a
    restart cures it, and `cured` is called once none of those that were stopped is left.
    """

    def __init__(
        self, running: Callable[[], set[int]], *, slowed: Callable[[], set[int]], cured: Callable[[], None]
    ) -> None:
        self._running, self._slowed, self._cured = running, slowed, cured
        self._ratio = 1.0
        self._frozen: set[int] = set()
        self._slowing, self._holding = Rhythm(self._turn), Rhythm(self._nudge)

    def slow(self, ratio: float) -> None:
        """Let every process run only so much of the time, 0-1; those that start later, too. 1 ends it."""
        self._ratio = ratio
        if ratio < 1:
            self._slowing.start()
            return
        self._slowing.stop()
        _send(signal.SIGCONT, self._moving())

    def freeze(self, pids: Iterable[int]) -> None:
        """Stop these, and no others that come later."""
        self._frozen |= set(pids)
        if self._frozen:
            _send(signal.SIGSTOP, self._frozen)
            self._holding.start()

    def thaw(self) -> None:
        """Let go those that were stopped."""
        self._holding.stop()
        _send(signal.SIGCONT, self._standing())
        self._frozen.clear()

    def stop(self) -> None:
        """Let everything go: the machine goes off."""
        self._slowing.stop()
        self._holding.stop()
        self._frozen.clear()
        _send(signal.SIGCONT, self._running())

    def _standing(self) -> set[int]:
        return self._frozen & self._running()

    def _moving(self) -> set[int]:
        return self._slowed() - self._frozen

    async def _turn(self) -> None:
        slowed = self._moving()
        _send(signal.SIGSTOP, slowed)
        try:
            await asyncio.sleep(PERIOD_SECONDS * (1 - self._ratio))
        finally:
            _send(signal.SIGCONT, slowed & self._moving())
        await asyncio.sleep(PERIOD_SECONDS * self._ratio)

    async def _nudge(self) -> None:
        await asyncio.sleep(NUDGE_SECONDS if (_PROC / "self" / "status").exists() else BLIND_NUDGE_SECONDS)
        self._frozen = self._standing()
        if not self._frozen:
            self._cured()
            self._holding.stop()
        dying = {pid for pid in self._frozen if _is_told_to_end(pid)}
        _send(signal.SIGCONT, dying)
        _send(signal.SIGSTOP, dying)


def _is_told_to_end(pid: int) -> bool:
    """Whether SIGTERM waits for it, or may."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return True
    waiting = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd:", "ShdPnd:"))]
    return any(mask >> (signal.SIGTERM - 1) & 1 for mask in waiting)


def _send(number: signal.Signals, pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
