"""When a gray pool is taken back: its tool calls fail two points more often than the week before (SPEC section 5.4).

Decided by whole numbers, from rows of the ledger alone. Few calls decide only when they leave no doubt; five failures
of one kind in a row suspend. Pure; who writes the notes, and asks on Mondays, is the gateway.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from fleet.traffic.gray.observed import wilson
from fleet.traffic.tools.score import FAILURES, SUCCESSES
from fleet.vocabulary.contracts.ledger import Request, ToolVerdict

WEEK_MILLISECONDS = 7 * 24 * 60 * 60 * 1000
BURST = 5
"""So many failures of one verdict in a row suspend."""

_TWO_POINTS = 50
"""1/50: the rise that rolls back."""
_FEW = 20
_Z_95_PERCENT_ONE_SIDED = 1.6448536
_SAMPLES = 10
_MONDAY_MILLISECONDS = 4 * 24 * 60 * 60 * 1000
"""1970-01-05 was a Monday."""
_LATE_MILLISECONDS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Rate:
    """`failures` of `scored` tool calls."""

    failures: int = 0
    scored: int = 0

    @property
    def share(self) -> float | None:
        """None of none."""
        return self.failures / self.scored if self.scored else None


def rose(now: Rate, before: Rate) -> bool:
    """Whether the rate is two points or more above what it was, exactly. Of nothing nothing rises."""
    risen = now.failures * before.scored - before.failures * now.scored
    return now.scored > 0 < before.scored and risen * _TWO_POINTS >= now.scored * before.scored


def surely_risen(now: Rate, before: Rate) -> float | None:
    """How much it rose at least: Newcombe's one-sided 95 % bound. None when either has no calls."""
    high = wilson(now.failures, now.scored, _Z_95_PERCENT_ONE_SIDED)
    low = wilson(before.failures, before.scored, _Z_95_PERCENT_ONE_SIDED)
    if high is None or low is None:
        return None
    was, is_now = before.failures / before.scored, now.failures / now.scored
    return is_now - was - math.hypot(is_now - high[0], low[1] - was)


class Word(StrEnum):
    """`insufficient`: too few calls to say."""

    INSUFFICIENT = "insufficient"
    STEADY = "steady"
    ROLL_BACK = "roll_back"


class Rule(StrEnum):
    """What decided: enough calls in both windows, or few that leave no doubt."""

    ENOUGH = "enough"
    FEW = "few"


class Baseline(StrEnum):
    """What a window is held against: the model's own before, or, in its first week, the proven route's now."""

    OWN = "own"
    PROVEN = "proven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the calls of one model in a pool say, and the evidence.

    Times are [start, end) in milliseconds of UTC. `control`: the proven route's rates in the same windows; when they
    rose as well the evidence is `confounded`, and the pool is rolled back all the same. `samples`: failed requests.
    """

    word: Word
    rule: Rule | None
    baseline: Baseline
    now: Rate
    before: Rate
    start_milliseconds: int
    end_milliseconds: int
    control_now: Rate
    control_before: Rate
    samples: tuple[str, ...] = ()

    @property
    def confounded(self) -> bool:
        """Whether the proven route got worse in the same time."""
        return rose(self.control_now, self.control_before)


@dataclass(frozen=True, slots=True)
class Burst:
    """Failures of one verdict in a row, the last of them `at_milliseconds`; the requests' ids."""

    verdict: ToolVerdict
    at_milliseconds: int
    samples: tuple[str, ...]


@dataclass(slots=True)
class _Tally:
    """Scored calls in the order of time, counted between any two instants by bisection."""

    trials: list[tuple[int, str, ToolVerdict]] = field(default_factory=list)
    sums: list[int] = field(default_factory=lambda: [0])

    def add(self, at_milliseconds: int, request: str, verdict: ToolVerdict) -> None:
        trial = (at_milliseconds, request, verdict)
        if not self.trials or trial > self.trials[-1]:
            self.trials.append(trial)
            self.sums.append(self.sums[-1] + (verdict in FAILURES))
            return
        at = bisect_left(self.trials, trial)
        if self.trials[at] != trial:  # the clock was set back, or the ledger is read out of order
            insort(self.trials, trial)
            self._sum(at)

    def rate(self, start: int, end: int) -> Rate:
        """In [start, end)."""
        first, last = self._at(start), self._at(end)
        return Rate(self.sums[last] - self.sums[first], last - first) if last > first else Rate()

    def samples(self, start: int, end: int) -> tuple[str, ...]:
        """The latest failures."""
        trials = self.trials[self._at(start) : self._at(end)]
        return tuple([request for _, request, verdict in trials if verdict in FAILURES][-_SAMPLES:])

    def forget(self, until: int) -> None:
        """What was before `until`."""
        del self.trials[: self._at(until)]
        self._sum(0)

    def _at(self, instant: int) -> int:
        return bisect_left(self.trials, (instant,))

    def _sum(self, at: int) -> None:
        del self.sums[at + 1 :]
        for _, _, verdict in self.trials[at:]:
            self.sums.append(self.sums[-1] + (verdict in FAILURES))


class Trials:
    """The scored calls of one gray pool, by model, and of the proven routes that feed it (`feeders`).

    Give it every Request row; the same row twice counts once. It remembers three weeks.
    """

    def __init__(self, pool: str, feeders: Iterable[str], rows: Iterable[Request] = ()) -> None:
        self._pool = pool
        self._feeders = frozenset(feeders)
        self._gray: dict[str, _Tally] = {}
        self._proven = _Tally()
        self._forgotten = 0
        for row in rows:
            self.add(row)

    def add(self, row: Request) -> bool:
        """Whether `row` says something of a model of the pool: then it is time to judge."""
        verdict = row.tool_verdict
        if verdict is None or verdict not in SUCCESSES | FAILURES:
            return False
        if row.asked not in self._feeders and self._pool not in (row.asked, row.route):
            return False
        tally = self._gray.setdefault(row.model, _Tally()) if row.gray else self._proven
        tally.add(row.at_milliseconds, row.id, verdict)
        self._forget(row.at_milliseconds)
        return row.gray

    @property
    def models(self) -> tuple[str, ...]:
        """Those that the pool has tried."""
        return tuple(sorted(self._gray))

    def judge(self, model: str, now_milliseconds: int, *, least: int, since_milliseconds: int = 0) -> Judgement:
        """By the last seven days and the seven before. What was before `since` (the pool was armed anew) is no more."""
        return self._judged(model, now_milliseconds + 1, least, since_milliseconds)

    def judge_week(self, model: str, now_milliseconds: int, *, least: int, since_milliseconds: int = 0) -> Judgement:
        """By the last ISO week (UTC) that is over, and the one before: for Mondays at 00:05."""
        into_week = (now_milliseconds - _MONDAY_MILLISECONDS) % WEEK_MILLISECONDS
        return self._judged(model, now_milliseconds - into_week, least, since_milliseconds)

    def burst(self, model: str, *, since_milliseconds: int = 0) -> Burst | None:
        """The failures that the model's calls end with, when they are enough to suspend it."""
        tally = self._gray.get(model, _Tally())
        last = tally.trials[-BURST:]
        if len(last) < BURST or last[0][0] < since_milliseconds:
            return None
        verdict = last[-1][2]
        if verdict not in FAILURES or any(one != verdict for _, _, one in last):
            return None
        return Burst(verdict, last[-1][0], tuple(request for _, request, _ in last))

    def _judged(self, model: str, end: int, least: int, since: int) -> Judgement:
        tally = self._gray.get(model, _Tally())
        middle, far = end - WEEK_MILLISECONDS, end - 2 * WEEK_MILLISECONDS
        start = max(middle, since)
        now, before = tally.rate(start, end), tally.rate(max(far, since), middle)
        control_now, control_before = self._proven.rate(start, end), self._proven.rate(far, middle)
        first = tally.rate(since, middle).scored == 0
        word, rule = _word(now, control_now if first else before, max(least, 1))
        return Judgement(
            word=word,
            rule=rule,
            baseline=Baseline.PROVEN if first else Baseline.OWN,
            now=now,
            before=control_now if first else before,
            start_milliseconds=start,
            end_milliseconds=end,
            control_now=control_now,
            control_before=control_before,
            samples=tally.samples(start, end) if word is Word.ROLL_BACK else (),
        )

    def _forget(self, now_milliseconds: int) -> None:
        """Once a day: nothing asks for more than two weeks before the last Monday."""
        if now_milliseconds < self._forgotten + _LATE_MILLISECONDS:
            return
        self._forgotten = now_milliseconds
        for tally in (*self._gray.values(), self._proven):
            tally.forget(now_milliseconds - 3 * WEEK_MILLISECONDS)


def _word(now: Rate, before: Rate, least: int) -> tuple[Word, Rule | None]:
    if now.scored >= least and before.scored >= least:
        return (Word.ROLL_BACK, Rule.ENOUGH) if rose(now, before) else (Word.STEADY, Rule.ENOUGH)
    if now.scored >= _FEW:
        bound = surely_risen(now, before)
        if bound is not None and bound > 1 / _TWO_POINTS:
            return Word.ROLL_BACK, Rule.FEW
    return Word.INSUFFICIENT, None
