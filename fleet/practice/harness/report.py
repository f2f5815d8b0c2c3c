"""What a run found, per target and per category. Pure. Unknown is None; a target that was not there is not measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from fleet.practice.harness.results import Finished, Outcome, TargetHead
from fleet.practice.harness.run import Run
from fleet.practice.harness.spread import interval, quantile
from fleet.traffic.tools.score import FAILURES, SUCCESSES
from fleet.vocabulary.names import Tier

NOT_ASKED = "not asked yet"


@dataclass(frozen=True, kw_only=True)
class Share:
    """`hits` of `count`, and where the true share lies with 95 %. With repeats `hits` may be a fraction."""

    hits: float
    count: int
    low: float | None = None
    high: float | None = None

    @property
    def share(self) -> float | None:
        """0 to 1; None of nothing."""
        return self.hits / self.count if self.count else None


@dataclass(frozen=True, kw_only=True)
class CategoryReport:
    """One category of prompts. `passed` counts prompts; `seconds` are quantiles over all tries."""

    category: str
    passed: Share
    tools: Share
    p50_seconds: float | None = None
    p95_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class TargetReport:
    """What was found of one target.

    `prompts` are those measured at least once, `tries` all that were, `unmeasured` those that failed for want of an
    answer. `why` says why nothing, or not all, was measured. `tools` counts scored answers that offered tools.
    `pass_pico` is the cost of asking the suite once; None when the cost of a try is unknown. `spent_pico` is what the
    run spent here at most, with what was cut off in the middle.
    """

    name: str
    tier: Tier | None
    model: str
    where: str
    answered_by: tuple[str, ...]
    prompts: int
    tries: int
    unmeasured: int
    why: str
    passed: Share
    tools: Share
    p50_seconds: float | None
    p95_seconds: float | None
    p50_first_token_seconds: float | None
    p95_first_token_seconds: float | None
    p95_tools_seconds: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    pass_pico: int | None
    spent_pico: int
    categories: tuple[CategoryReport, ...] = ()
    failed: tuple[str, ...] = ()
    """Prompts that failed at least once, in the order of the suite."""

    @property
    def measured(self) -> bool:
        """Whether there is anything to say of it."""
        return self.prompts > 0


@dataclass(frozen=True, kw_only=True)
class HarnessReport:
    """A run. `complete`: every prompt was measured at every target, as often as planned."""

    run: str
    suite: str
    suite_digest: str
    prompts: int
    repeats: int
    started_milliseconds: int
    last_milliseconds: int | None
    complete: bool
    ended: str | None
    ceiling_pico: int | None
    spent_pico: int
    targets: tuple[TargetReport, ...] = field(default_factory=tuple)


def report_of_run(run: Run) -> HarnessReport:
    """All that a run found."""
    head = run.head
    return HarnessReport(
        run=head.run,
        suite=head.suite,
        suite_digest=head.suite_digest,
        prompts=len(head.prompts),
        repeats=head.repeats,
        started_milliseconds=head.started_milliseconds,
        last_milliseconds=run.last_milliseconds,
        complete=not run.missing,
        ended=run.ended,
        ceiling_pico=run.ceiling_pico,
        spent_pico=run.spent_pico,
        targets=tuple(_target(run, target) for target in head.targets),
    )


def passed_share(results: Sequence[Finished]) -> Share:
    """How many prompts passed: the tries of a prompt share its one vote."""
    votes = votes_of(results)
    return _share(sum(votes.values()), len(votes))


def votes_of(results: Sequence[Finished]) -> dict[str, float]:
    """How often each prompt passed, 0 to 1, by its id."""
    tries: dict[str, list[bool]] = {}
    for one in results:
        tries.setdefault(one.prompt, []).append(one.outcome is Outcome.PASSED)
    return {prompt: fmean(passed) for prompt, passed in tries.items()}


def tools_share(results: Sequence[Finished]) -> Share:
    """How many answers that used, or had to use, a tool did it right: the live scorer's verdicts."""
    verdicts = [verdict for one in results for verdict in one.tool_verdicts]
    good = sum(verdict in SUCCESSES for verdict in verdicts)
    return _share(good, good + sum(verdict in FAILURES for verdict in verdicts))


def _target(run: Run, target: TargetHead) -> TargetReport:
    told = run.of(target.name)
    found = [one for one in told if one.outcome is not Outcome.UNMEASURED]
    missing = sum(key[0] == target.name for key in run.missing)
    given_up = next((one.problem for one in reversed(told) if one.outcome is Outcome.UNMEASURED), "")
    costs, tries = [one.pico for one in found], len(found)
    whole_cost = None if not found or None in costs else sum(cost for cost in costs if cost is not None)
    seconds = [one.seconds for one in found if one.seconds is not None]
    first = [one.first_token_seconds for one in found if one.first_token_seconds is not None]
    tools_at = [one.tools_at_seconds for one in found if one.tools_at_seconds is not None]
    why = run.absent.get(target.name, "") or given_up or (run.ended or NOT_ASKED)
    return TargetReport(
        name=target.name,
        tier=target.tier,
        model=target.model,
        where=target.where,
        answered_by=tuple(dict.fromkeys(one.model for one in found if one.model)),
        prompts=len({one.prompt for one in found}),
        tries=tries,
        unmeasured=sum(one.outcome is Outcome.UNMEASURED for one in told),
        why=why if missing else "",
        passed=passed_share(found),
        tools=tools_share(found),
        p50_seconds=quantile(seconds, 0.5),
        p95_seconds=quantile(seconds, 0.95),
        p50_first_token_seconds=quantile(first, 0.5),
        p95_first_token_seconds=quantile(first, 0.95),
        p95_tools_seconds=quantile(tools_at, 0.95),
        prompt_tokens=_sum([one.prompt_tokens for one in found]),
        completion_tokens=_sum([one.completion_tokens for one in found]),
        pass_pico=None if whole_cost is None else -(-whole_cost * len({one.prompt for one in found}) // tries),
        spent_pico=run.spent_at(target.name),
        categories=tuple(_category(name, found, run) for name in _categories(run)),
        failed=_failed(run, found),
    )


def _category(name: str, found: Sequence[Finished], run: Run) -> CategoryReport:
    mine = {prompt.id for prompt in run.head.prompts if prompt.category == name}
    results = [one for one in found if one.prompt in mine]
    seconds = [one.seconds for one in results if one.seconds is not None]
    return CategoryReport(
        category=name,
        passed=passed_share(results),
        tools=tools_share(results),
        p50_seconds=quantile(seconds, 0.5),
        p95_seconds=quantile(seconds, 0.95),
    )


def _categories(run: Run) -> tuple[str, ...]:
    return tuple(dict.fromkeys(prompt.category for prompt in run.head.prompts))


def _failed(run: Run, found: Sequence[Finished]) -> tuple[str, ...]:
    bad = {one.prompt for one in found if one.outcome is Outcome.FAILED}
    return tuple(prompt.id for prompt in run.head.prompts if prompt.id in bad)


def _share(hits: float, count: int) -> Share:
    bounds = interval(hits / count, count) if count else None
    low, high = bounds or (None, None)
    return Share(hits=hits, count=count, low=low, high=high)


def _sum(counts: Sequence[int | None]) -> int | None:
    """The sum, None where one of them is unknown: a part of a sum is no sum."""
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None
