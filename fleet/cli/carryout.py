"""A run on the command line, whatever command began it: look, show, ask, change, say how it ended."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial

import click
from rich.console import Console
from rich.text import Text

from fleet.cli.asking import AskingView
from fleet.cli.context import narrate, print_json
from fleet.cli.hang import hang
from fleet.cli.lines import names_text
from fleet.cli.planview import nothing_to_do, plan_json, print_plan
from fleet.cli.runview import run_view
from fleet.control.actions.deploy import Deployer, Prepared, run_batches, verdict
from fleet.control.rollout.batches import Batch
from fleet.control.rollout.drive import Aids
from fleet.control.rollout.nodejob import NodeResult
from fleet.control.rollout.plan import NodePlan
from fleet.control.rollout.run import Run
from fleet.control.rollout.terms import Origin
from fleet.control.rollout.wake import Awake, spawn
from fleet.vocabulary.contracts.events import Phase, RunEvent
from fleet.vocabulary.names import NodeName

_STOPPED = 130


def carry_out(
    ctx: click.Context, deployer: Deployer, prepared: Prepared, *, commands: bool, yes: bool, as_json: bool
) -> None:
    """The whole run. Raises what it amounts to when not every node is as it should be."""
    console = Console(stderr=as_json)
    view = run_view(console, [job.name for job in prepared.jobs], json=as_json, keep=False)
    with deployer.run(prepared, show=view.show) as run:
        left = prepared.wanted.resume
        with view:
            if left:
                run.take_up(left.walk, left.before)
            else:
                run.check()
            run.leave_refused()
        plans = in_order(prepared, run)
        order = left.walk.batches if left else run_batches(prepared, plans, run.results)
        if order and not as_json:
            origin = deployer.origin(prepared)
            show_plan(prepared, plans, origin, as_json=False, commands=commands, results=run.results)
        if not as_json:
            tell_untold(console, run)
        if order:
            if not yes and any(not plan.idle for plan in plans.values()) and not _agreed(plans):
                run.release()
                narrate("nothing was changed")
                ctx.exit(1)
            asking = AskingView(partial(run_view, console, json=as_json), order)
            run.show_with(asking.show)
            try:
                with asking, Awake(platform=sys.platform, pid=os.getpid(), spawn=spawn):
                    _apply(deployer, prepared, run, order, asking)
            except KeyboardInterrupt:
                narrate(_left_alone(asking.last, action=prepared.action))
                ctx.exit(_STOPPED)
        else:
            deployer.recorder(prepared, run, run.walk(())).close()
    problem = verdict(run.results)
    if problem:
        raise problem
    if not as_json:
        changed = sum(result.outcome == "changed" for result in run.results.values())
        count = len(run.results)
        them = f"{count} nodes are as they" if count != 1 else "the node is as it"
        narrate(f"{them} should be, {changed} changed" if changed else nothing_to_do(plans))


def _apply(deployer: Deployer, prepared: Prepared, run: Run, order: Sequence[Batch], asking: AskingView) -> None:
    """Change the nodes, and keep the run's record as they do."""
    readiness = deployer.readiness(prepared, run.plans)
    left = prepared.wanted.resume
    walk = run.goes_on(left.walk, readiness.capacity()) if left else run.walk(order, readiness.capacity())
    recorder = deployer.recorder(prepared, run, walk)
    aids = Aids(
        finish=recorder.finish,
        save=recorder.save,
        look=readiness.look,
        ask=asking.ask,
        action=prepared.action,
    )
    run.apply(walk, aids)
    recorder.close()


def in_order(prepared: Prepared, run: Run) -> Mapping[NodeName, NodePlan]:
    """The plans in the order of the inventory, not in that of the answers."""
    return {job.name: run.plans[job.name] for job in prepared.jobs if job.name in run.plans}


def show_plan(
    prepared: Prepared,
    plans: Mapping[NodeName, NodePlan],
    origin: Origin,
    *,
    as_json: bool,
    commands: bool,
    results: Mapping[NodeName, NodeResult] | None = None,
) -> None:
    """The plan on stdout, with the order in which the nodes change. `results` tell who could not be looked at."""
    order = run_batches(prepared, plans, results)
    if as_json:
        print_json(plan_json(plans, order, origin=origin))
    else:
        print_plan(Console(), plans, order, commands=commands, origin=origin)


def _agreed(plans: Mapping[NodeName, NodePlan]) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody to ask: stdin is not a terminal. --yes deploys without asking")
    nodes = sum(not one.idle for one in plans.values())
    return click.confirm(f"Change {nodes} node{'s' if nodes != 1 else ''}?", err=True)


def _left_alone(last: Mapping[str, RunEvent], *, action: str = "deploy") -> str:
    """What ^C means for the nodes: one that has taken its run finishes it, the others stay as they are."""
    begun = (Phase.STAGE, Phase.APPLY, Phase.GATE, Phase.REVERT)
    alone = [node for node, event in last.items() if not event.outcome and event.phase in begun]
    if not alone:
        return "stopped"
    verb = "finishes by itself" if len(alone) == 1 else "finish by themselves"
    return f"stopped; {names_text(alone)} {verb}. fleet {action} --resume last goes on, fleet plan shows what is left"


def tell_untold(console: Console, run: Run) -> None:
    """Why nodes are not in the plan, in full: on a terminal their rows are gone. Elsewhere it has been told."""
    for result in run.results.values():
        if result.error and console.is_terminal:
            for line in result.error.text.splitlines():
                hang(console, Text(line, style="red"), indent=8 if line.startswith("  hint:") else 2)
