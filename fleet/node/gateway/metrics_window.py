"""What happened in the last minute and the last hour, for people: two rings of slots, no timer."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Lately:
    """Sums over a time. `errors` failed, were cut or were ended by us. Percentiles are None without answers."""

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_p50_seconds: float | None = None
    first_token_p95_seconds: float | None = None


@dataclass(slots=True)
class _Slot:
    number: int = -1
    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_tokens: list[int] = field(default_factory=list)


class _Ring:
    def __init__(self, slot_seconds: float, slots: int, buckets: int) -> None:
        self._slot_seconds = slot_seconds
        self._buckets = buckets
        self._slots = [_Slot(first_tokens=[0] * buckets) for _ in range(slots)]

    def slot(self, now: float) -> _Slot:
        """The slot of the moment, emptied when it is another time's."""
        number = int(now / self._slot_seconds)
        slot = self._slots[number % len(self._slots)]
        if slot.number != number:
            slot.number, slot.requests, slot.errors, slot.prompt_tokens, slot.completion_tokens = number, 0, 0, 0, 0
            slot.first_tokens = [0] * self._buckets
        return slot

    def sum(self, now: float, bounds: tuple[float, ...]) -> Lately:
        number = int(now / self._slot_seconds)
        fresh = [slot for slot in self._slots if number - len(self._slots) < slot.number <= number]
        counts = [sum(slot.first_tokens[bucket] for slot in fresh) for bucket in range(self._buckets)]
        return Lately(
            requests=sum(slot.requests for slot in fresh),
            errors=sum(slot.errors for slot in fresh),
            prompt_tokens=sum(slot.prompt_tokens for slot in fresh),
            completion_tokens=sum(slot.completion_tokens for slot in fresh),
            first_token_p50_seconds=quantile(counts, bounds, 0.5),
            first_token_p95_seconds=quantile(counts, bounds, 0.95),
        )


class Recent:
    """The last minute (to 5 s) and the last hour (to a minute). Times are monotonic seconds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._minute = _Ring(5.0, 12, len(bounds) + 1)
        self._hour = _Ring(60.0, 60, len(bounds) + 1)

    def add(self, now: float, *, failed: bool, prompt: int, completion: int, first_token_seconds: float | None) -> None:
        """A request ended."""
        for slot in (self._minute.slot(now), self._hour.slot(now)):
            slot.requests += 1
            slot.errors += failed
            slot.prompt_tokens += prompt
            slot.completion_tokens += completion
            if first_token_seconds is not None:
                slot.first_tokens[bisect_left(self._bounds, first_token_seconds)] += 1

    def minute(self, now: float) -> Lately:
        """The last minute."""
        return self._minute.sum(now, self._bounds)

    def hour(self, now: float) -> Lately:
        """The last hour."""
        return self._hour.sum(now, self._bounds)


def quantile(counts: list[int], bounds: tuple[float, ...], share: float) -> float | None:
    """Where `share` of the values lie below, between the bounds of its bucket; None without values.

    Beyond the last bound it is that bound: an answer that cannot be said more exactly.
    """
    total = sum(counts)
    if total == 0:
        return None
    rank, below = share * total, 0
    for bucket, count in enumerate(counts):
        if below + count >= rank and count:
            if bucket == len(bounds):
                return bounds[-1]
            low = bounds[bucket - 1] if bucket else 0.0
            return low + (bounds[bucket] - low) * (rank - below) / count
        below += count
    return bounds[-1]
