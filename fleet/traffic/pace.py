"""How fast an upstream answered lately. Pure: its clock is what it is told, in monotonic seconds.

An answer's pace depends on how many the server worked on beside it, so like is kept with like: answers are put into
buckets of requests at once. Sums are exact and times are kept in slots of a ring, so that it costs the same however
many answers there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec

from fleet.vocabulary.contracts.gateway_admin import PaceRow

WINDOW_SECONDS = 120.0
SLOTS = 12
RECENT_SECONDS = 10.0
RECENT_SLOTS = 5
"""What routing goes by: two samples of an agent, so that the second one after a fault knows nothing else."""
LEAST_TOKENS = 8
LONG_SECONDS = 10.0
FASTEST_TOKENS_PER_SECOND = 20_000.0

_STEP = math.log(1.1)
_SHORTEST_SECONDS = 1e-4


class Decoding(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, or a piece of one: `tokens` came after its first one, within `seconds`.

    `at_once`: how many requests the server had meanwhile, on average, this one counted. `first_token_seconds` is from
    the request to the first token of the answer.
    """

    at_once: float
    tokens: int
    seconds: float
    first_token_seconds: float

    @property
    def speaks(self) -> bool:
        """Whether it says anything of pace: a few tokens do not, unless they took long; nor do those in one piece."""
        return self.credible and (self.tokens >= LEAST_TOKENS or self.seconds >= LONG_SECONDS)

    @property
    def credible(self) -> bool:
        """Whether a server can have decoded like this."""
        return self.seconds > 0 and 0 <= self.tokens <= self.seconds * FASTEST_TOKENS_PER_SECOND


def bucket_of(at_once: float) -> int:
    """The power of two that is nearest to `at_once`, by ratio: 1, 2, 4, 8, ..."""
    return 1 << max(0, round(math.log2(max(at_once, 1.0))))


@dataclass(slots=True)
class _Sums:
    """The answers of one bucket in one slot. `firsts`: how many first tokens came within each step of 10 %."""

    answers: int = 0
    tokens: int = 0
    seconds: float = 0.0
    firsts: dict[int, int] = field(default_factory=dict)


class PaceWindow:
    """The answers of the last `window_seconds`: all of them, and none that is older by more than a slot."""

    def __init__(self, *, window_seconds: float = WINDOW_SECONDS, slots: int = SLOTS) -> None:
        self.window_seconds = window_seconds
        self._slots_in_window = slots
        self._slot_seconds = window_seconds / slots
        self._slots: dict[int, dict[int, _Sums]] = {}

    def add(self, now: float, answer: Decoding, *, first: bool = True) -> None:
        """An answer, or a piece of it that is its `first` or not. Whether it speaks is the caller's to ask."""
        number = self._number(now)
        slot = self._slots.get(number)
        if slot is None:
            oldest = number - self._slots_in_window
            self._slots = {other: kept for other, kept in self._slots.items() if other >= oldest}
            slot = self._slots[number] = {}
        bucket = bucket_of(answer.at_once)
        sums = slot.get(bucket)
        if sums is None:
            sums = slot[bucket] = _Sums()
        sums.tokens += answer.tokens
        sums.seconds += answer.seconds
        if not first:
            return
        sums.answers += 1
        step = math.floor(math.log(max(answer.first_token_seconds, _SHORTEST_SECONDS)) / _STEP)
        sums.firsts[step] = sums.firsts.get(step, 0) + 1

    def rows(self, now: float) -> tuple[PaceRow, ...]:
        """What is known now, the fewest at once first. A bucket without answers has no row."""
        oldest = self._number(now) - self._slots_in_window
        found: dict[int, _Sums] = {}
        for number, slot in self._slots.items():
            if number < oldest:
                continue
            for at_once, sums in slot.items():
                whole = found.setdefault(at_once, _Sums())
                whole.answers += sums.answers
                whole.tokens += sums.tokens
                whole.seconds += sums.seconds
                for step, count in sums.firsts.items():
                    whole.firsts[step] = whole.firsts.get(step, 0) + count
        return tuple(
            PaceRow(
                at_once=at_once,
                answers=sums.answers,
                tokens=sums.tokens,
                seconds=sums.seconds,
                first_token_seconds=_median(sums.firsts),
            )
            for at_once, sums in sorted(found.items())
        )

    def _number(self, now: float) -> int:
        return math.floor(now / self._slot_seconds)


def _median(firsts: dict[int, int]) -> float | None:
    """The lower median, to 5 %: the middle of its step."""
    rank = (sum(firsts.values()) + 1) // 2
    for step in sorted(firsts):
        rank -= firsts[step]
        if rank <= 0:
            return math.exp((step + 0.5) * _STEP)
    return None
