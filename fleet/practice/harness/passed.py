"""What a run proves of a model, for a front that takes it back into its gray pool. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.errors import UsageError
from fleet.practice.harness.report import tools_share
from fleet.practice.harness.results import Finished, Outcome, TargetHead
from fleet.practice.harness.run import Run
from fleet.vocabulary.contracts.policy_admin import HarnessFound


def harness_found(run: Run, models: Mapping[str, str], *, target: str = "") -> HarnessFound:
    """What the run found of one of `models`: names by which it may have been asked, each with the front's own name.

    `target` "" = the one that measured it. Raises UsageError when none did, or not every prompt was measured.
    """
    for head in [run.target(target)] if target else run.head.targets:
        model = _model(head, run.of(head.name), models)
        if model:
            return _found(run, head, model)
    asked = ", ".join(dict.fromkeys(head.model for head in run.head.targets))
    raise UsageError(
        f"the run {run.head.run} did not measure {' or '.join(dict.fromkeys(models.values()))}",
        detail=f"it measured {asked}",
        hint="fleet harness run --target gray=MODEL measures it",
    )


def _found(run: Run, head: TargetHead, model: str) -> HarnessFound:
    results = [one for one in run.of(head.name) if one.outcome is not Outcome.UNMEASURED]
    missing = sum(key[0] == head.name for key in run.missing)
    if missing:
        raise UsageError(
            f"the run {run.head.run} is not whole at {head.name}: {missing} of {missing + len(results)} are missing",
            hint=f"fleet harness run --resume {run.head.run}",
        )
    tools = tools_share(results)
    return HarnessFound(
        run=run.head.run,
        model=model,
        prompts=len({one.prompt for one in results}),
        successes=int(tools.hits),
        scored=tools.count,
        begun_milliseconds=min(one.at_milliseconds for one in results),
    )


def _model(head: TargetHead, results: tuple[Finished, ...], models: Mapping[str, str]) -> str:
    """The front's name of what answered there, when that was one model and one of `models`; else ""."""
    answered = {one.model for one in results if one.model}
    named = {models[name] for name in answered if name in models}
    if named and not answered - models.keys():
        return named.pop() if len(named) == 1 else ""
    return models.get(head.model, "") if not answered else ""
