"""What a saved plan asks of the deploy that does it: the same words, the same states, the same nodes as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import fleet
from fleet.control.rollout.guard import Guard, Judged, is_older, refused
from fleet.control.rollout.nodejob import NodeJob
from fleet.control.rollout.plan import NodePlan
from fleet.control.rollout.planfile import SavedPlan, moved, other_state
from fleet.control.rollout.terms import Judge
from fleet.errors import FleetError, NodeError, UsageError
from fleet.vocabulary.contracts.sync import Hello
from fleet.vocabulary.names import NodeName


def require_same_words(saved: SavedPlan, overrides: Sequence[str]) -> None:
    """Raise UsageError when this command line, or this fleet, cannot be what the plan was made by."""
    sets = tuple(sorted(word.partition("=")[0] for word in overrides))
    if sets != saved.sets:
        then, now = (", ".join(names) or "none" for names in (saved.sets, sets))
        raise UsageError(
            f"the plan was made with other --set variables: {then}; now: {now}",
            hint="a plan keeps no values: repeat the same --set VAR=VALUE",
        )
    if is_older(fleet.__version__, than=saved.fleet_version):
        raise UsageError(
            f"fleet {saved.fleet_version} made this plan; this is {fleet.__version__}",
            hint="deploy it with the fleet that made it",
        )


def held_to(
    saved: SavedPlan, jobs: Sequence[NodeJob], *, lost: Sequence[NodeName] = ()
) -> tuple[tuple[NodeJob, ...], dict[NodeName, FleetError]]:
    """The jobs of the nodes whose state is the planned one; and why each of the others is refused."""
    others: dict[NodeName, FleetError] = {}
    for job in jobs:
        planned = saved.nodes.get(job.name)
        if planned is None:
            hint = "it did not answer then, or it came to the inventory since"
            others[job.name] = NodeError("it is not in the plan", node=job.name, hint=hint)
        elif refusal := other_state(planned, job.compiled.state.state_id):
            others[job.name] = refused(job.name, (refusal,))
    for name in saved.nodes:
        if name not in lost and all(job.name != name for job in jobs):
            others[name] = NodeError("it is in the plan, and in the playbook no more", node=name)
    return tuple(job for job in jobs if job.name not in others), others


def judge_of(guard: Guard, saved: SavedPlan | None) -> Judge:
    """The guards, and the saved plan where there is one."""

    def judge(node: NodeName, hello: Hello, plan: NodePlan) -> Judged:
        judged = guard.judge(hello)
        planned = saved.nodes.get(node) if saved else None
        refusal = moved(planned, plan, hello.facts) if planned else None
        return replace(judged, refusals=(*judged.refusals, refusal)) if refusal else judged

    return judge
