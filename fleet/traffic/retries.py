"""How many requests may be asked again elsewhere: a bucket of tokens as a value. Pure.

Without it a fleet that fails is asked `attempts` times as much as one that works.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleet.traffic.config import Retries


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """What is left: every request earns a share of a further attempt, and a further attempt costs one."""

    left: float

    @classmethod
    def full(cls, settings: Retries) -> RetryBudget:
        """A budget of which nothing was spent."""
        return cls(max(float(settings.burst), 0.0))

    def request(self, settings: Retries) -> RetryBudget:
        """After a request: it earned `ratio`. Never more than `burst`."""
        left = min(self.left + max(settings.ratio, 0.0), max(float(settings.burst), 0.0))
        return self if left == self.left else RetryBudget(left)

    def attempt(self, settings: Retries) -> RetryBudget | None:
        """After one further attempt; None when there is nothing to pay it with."""
        left = min(self.left, float(settings.burst)) - 1.0
        return RetryBudget(left) if left >= 0.0 else None
