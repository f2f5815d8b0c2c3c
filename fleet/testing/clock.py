"""FakeClock: time that passes when the test says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass
class FakeClock:
    """A Clock. `sleep` advances it, and so does `advance`."""

    at: datetime = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    elapsed: float = 1000.0

    def now(self) -> datetime:
        """The wall clock."""
        return self.at

    def monotonic(self) -> float:
        """Seconds that never step back."""
        return self.elapsed

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)
        self.elapsed += seconds
