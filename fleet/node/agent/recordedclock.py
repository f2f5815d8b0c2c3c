"""The clock of a recorded machine: this one's, ahead by the seconds in `clock.txt`, read again at every look."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from fleet.vocabulary.clock import Clock, SystemClock

_MOST_BYTES = 32
_MOST_SECONDS = 10**9


class RecordedClock:
    """A clock that may be wrong. Without the file, or with an odd one, it is right."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self._file, self._clock = folder / "clock.txt", clock or SystemClock()

    def now(self) -> datetime:
        """The wall clock, UTC-aware."""
        return self._clock.now() + timedelta(seconds=self._ahead_seconds())

    def monotonic(self) -> float:
        """Seconds that never step back."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._clock.sleep(seconds)

    def _ahead_seconds(self) -> int:
        try:
            with self._file.open("rb") as file:
                ahead = int(file.read(_MOST_BYTES))
        except (OSError, ValueError):
            return 0
        return ahead if abs(ahead) <= _MOST_SECONDS else 0
