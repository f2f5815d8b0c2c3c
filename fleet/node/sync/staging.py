"""How far staging is, told while it goes on: half a gigabyte of packages takes a while to unpack."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.sync import Progress

_EVERY_SECONDS = 0.5


@dataclass(kw_only=True)
class Staging:
    """Counts bytes and tells of them: at once when something new begins, else twice a second at most.

    A laptop that is gone hears nothing, and staging goes on.
    """

    total: int
    told: Callable[[Progress], None]
    clock: Clock
    done: int = 0
    _what: str = ""
    _last: float | None = None

    def begin(self, what: str) -> None:
        """Something new is at work."""
        self._what, self._last = what, self.clock.monotonic()
        self._tell()

    def wrote(self, size: int) -> None:
        """So many bytes more are in place."""
        self.done = min(self.total, self.done + size)
        now = self.clock.monotonic()
        if self._last is None or now - self._last >= _EVERY_SECONDS:
            self._last = now
            self._tell()

    def _tell(self) -> None:
        with contextlib.suppress(OSError):
            self.told(Progress(what=self._what, done=self.done, total=self.total))
