"""When an upstream is left alone: a breaker as a value. Pure; times are monotonic seconds.

closed --failures--> open --wait--> half open --one trial--> closed, or open again for twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from fleet.traffic.config import Breaker


class Phase(StrEnum):
    """What a breaker lets through: everything, nothing, or one trial."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """The breaker of one upstream. `failures` in a row; `opens_at` is when the next trial may go, None while closed.

    `trial` is the number of the trial under way, 0 = none. A success of any request, or of a probe, closes it.
    """

    failures: int = 0
    opens_at: float | None = None
    wait_seconds: float = 0.0
    trial: int = 0
    trials: int = 0

    def phase(self, now: float) -> Phase:
        """What it lets through at `now`."""
        if self.opens_at is None:
            return Phase.CLOSED
        return Phase.OPEN if now < self.opens_at else Phase.HALF_OPEN

    def opens_in(self, now: float) -> float:
        """Seconds until a trial may go; 0 when one may, or none is needed."""
        return 0.0 if self.opens_at is None else max(self.opens_at - now, 0.0)

    def lets_through(self, now: float) -> bool:
        """Whether one more request may go at `now`."""
        if self.opens_at is None:
            return True
        return now >= self.opens_at and self.trial == 0

    def tried(self, now: float) -> Circuit:
        """After a request went. It is the trial when one was due; `trial` then is its number."""
        if self.opens_at is None or not self.lets_through(now):
            return self
        return replace(self, trial=self.trials + 1, trials=self.trials + 1)

    def lost(self, trial: int) -> Circuit:
        """After trial number `trial` ended without a word (its client left): the next one may go."""
        return replace(self, trial=0) if trial and self.trial == trial else self

    def succeeded(self) -> Circuit:
        """After an answer."""
        if self.opens_at is None and not self.failures:
            return self
        return Circuit(trials=self.trials)

    def failed(self, now: float, settings: Breaker) -> Circuit:
        """After a failure. One more while open changes nothing; one while half open leaves it alone for longer."""
        match self.phase(now):
            case Phase.OPEN:
                return self
            case Phase.HALF_OPEN:
                return self._open(now, min(self.wait_seconds * 2, settings.longest_seconds))
            case Phase.CLOSED:
                if self.failures + 1 >= settings.failures:
                    return self._open(now, min(settings.first_seconds, settings.longest_seconds))
                return replace(self, failures=self.failures + 1)

    def ejected(self, now: float, settings: Breaker) -> Circuit:
        """After a failure that the next request would meet as well: a refused connection, a wrong key."""
        if self.opens_at is not None:
            return self.failed(now, settings)
        return self._open(now, min(settings.first_seconds, settings.longest_seconds))

    def _open(self, now: float, wait_seconds: float) -> Circuit:
        return Circuit(
            failures=self.failures + 1, opens_at=now + wait_seconds, wait_seconds=wait_seconds, trials=self.trials
        )
