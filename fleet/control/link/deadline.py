"""A point in time after which nothing is waited for. Standard library only."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock, made once and handed down, so that waits add up to what was promised."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The moment that many seconds from now."""
        return cls(time.monotonic() + seconds)

    def sooner(self, seconds: float) -> Deadline:
        """The earlier of it and the moment that many seconds from now."""
        return min(self, Deadline.after(seconds), key=lambda one: one.at)

    @property
    def left_seconds(self) -> float:
        """What is left, never negative."""
        return max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return time.monotonic() >= self.at
