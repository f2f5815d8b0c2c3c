"""The limits of free variants: 20 requests a minute, 50 a day."""

from __future__ import annotations

from collections import deque

PER_MINUTE = 20
PER_DAY = 50
_MINUTE_SECONDS = 60.0
_DAY_SECONDS = 86_400.0


class FreeLimits:
    """Remembers the requests of the last day, by model. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._asked: dict[str, deque[float]] = {}

    def wait_seconds(self, model: str, *, now: float) -> int | None:
        """How long until the model may be asked again; None = it may now, and this request is counted."""
        asked = self._asked.setdefault(model, deque())
        while asked and asked[0] <= now - _DAY_SECONDS:
            asked.popleft()
        if len(asked) >= PER_DAY:
            return int(asked[0] + _DAY_SECONDS - now) + 1
        if len(asked) >= PER_MINUTE and asked[-PER_MINUTE] > now - _MINUTE_SECONDS:
            return int(asked[-PER_MINUTE] + _MINUTE_SECONDS - now) + 1
        asked.append(now)
        return None
