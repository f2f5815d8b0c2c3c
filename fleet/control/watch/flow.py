"""How fast bytes go and how long the rest of them takes: a rate that neither jumps nor sticks. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

_MEMORY_SECONDS = 6.0
_SAMPLE_SECONDS = 0.4
_STALLED_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Flow:
    """`done` of `total` bytes at second `at`. `rate` is in bytes per second, None until it can be told.

    Its memory is some seconds long: what was a minute ago does not count, and one slow packet does not show.
    """

    done: int = 0
    total: int = 0
    at: float = 0.0
    rate: float | None = None
    _base: tuple[float, int] | None = None

    def after(self, done: int, total: int, now: float) -> Flow:
        """The flow when so much is done. Another total, or less done, is another flow."""
        base = self._base
        if base is None or total != self.total or done < self.done:
            return Flow(done=done, total=total, at=now, _base=(now, done))
        here = replace(self, done=done, at=now if done > self.done else self.at)
        passed = now - base[0]
        if passed < _SAMPLE_SECONDS:
            return here
        newest = (done - base[1]) / passed
        weight = 1 - math.exp(-passed / _MEMORY_SECONDS)
        rate = newest if self.rate is None else self.rate + weight * (newest - self.rate)
        return replace(here, rate=rate, _base=(now, done))

    def left_seconds(self, now: float) -> float | None:
        """How long it takes from now on; None while nobody can say."""
        if self.rate is None or self.rate <= 0 or self.stalled(now):
            return None
        return max(0.0, (self.total - self.done) / self.rate - (now - self.at))

    def stalled(self, now: float) -> bool:
        """Whether nothing has come for a while, though something should."""
        return self.done < self.total and now - self.at >= _STALLED_SECONDS
