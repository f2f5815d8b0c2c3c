"""One target of one run, prompt by prompt: what is compared. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from fleet.practice.harness.report import votes_of
from fleet.practice.harness.results import Finished, Outcome, TargetHead
from fleet.practice.harness.run import Run
from fleet.traffic.tools.score import FAILURES, SUCCESSES


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One target of one run: what is compared. `digests` of all prompts by id: an edited prompt is another one."""

    name: str
    target: TargetHead
    digests: Mapping[str, str]
    results: Sequence[Finished]


def measured(run: Run, target: str) -> Measured:
    """A target of a run, ready to be compared. Raises UsageError for a name that it has not."""
    head = run.target(target)
    return Measured(
        name=f"{run.head.run}:{target}",
        target=head,
        digests={prompt.id: prompt.digest for prompt in run.head.prompts},
        results=[one for one in run.of(target) if one.outcome is not Outcome.UNMEASURED],
    )


def by_prompt(one: Measured) -> dict[str, list[Finished]]:
    """What became of every prompt that was measured, by its id."""
    found: dict[str, list[Finished]] = {}
    for result in one.results:
        found.setdefault(result.prompt, []).append(result)
    return found


def votes(tries: Sequence[Finished]) -> float | None:
    """How often the prompt passed, 0 to 1."""
    return next(iter(votes_of(tries).values()), None)


def tools(tries: Sequence[Finished]) -> float | None:
    """How many of its scored answers were right; None when none was scored."""
    verdicts = [verdict for one in tries for verdict in one.tool_verdicts]
    good, bad = sum(v in SUCCESSES for v in verdicts), sum(v in FAILURES for v in verdicts)
    return good / (good + bad) if good + bad else None


def costs(tries: Sequence[Finished]) -> float | None:
    """What the prompt costs, pico-dollars; None when that of one try is unknown."""
    known = [one.pico for one in tries if one.pico is not None]
    return fmean(known) if len(known) == len(tries) else None


def seconds(tries: Sequence[Finished]) -> float | None:
    """How long the prompt takes: the middle of its tries."""
    known = [one.seconds for one in tries if one.seconds is not None]
    return median(known) if known else None
