"""A rate that several threads share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from fleet.vocabulary.clock import Clock


@dataclass(kw_only=True)
class Throttle:
    """Lets at most `bytes_per_second` through, all takers together; None lets everything through."""

    clock: Clock
    bytes_per_second: int | None = None
    _free_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, size: int) -> None:
        """Wait until so many bytes may go."""
        if not self.bytes_per_second:
            return
        with self._lock:
            now = self.clock.monotonic()
            begins = max(now, self._free_at)
            self._free_at = begins + size / self.bytes_per_second
        if begins > now:
            self.clock.sleep(begins - now)
