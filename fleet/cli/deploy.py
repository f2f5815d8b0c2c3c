"""`fleet plan` and `fleet deploy`: one path, shown before it is done."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click
from click.core import ParameterSource
from rich.console import Console
from rich.text import Text

from fleet.cli.context import link_of, narrate, overrides_of, print_json, project_of
from fleet.cli.hang import hang
from fleet.cli.lines import names_text
from fleet.cli.planview import nothing_to_do, plan_json, print_plan
from fleet.cli.runview import RunView, run_view
from fleet.control.actions.deploy import Deployer, Prepared, Wanted, looked_at, run_batches, verdict
from fleet.control.rollout.plan import NodePlan
from fleet.control.rollout.planfile import read_plan, write_plan
from fleet.control.rollout.run import Run
from fleet.control.rollout.terms import Origin
from fleet.control.supply.cache import Cache
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.events import Phase, RunEvent
from fleet.vocabulary.names import NodeName

_EXIT_CHANGES = 5
_STOPPED = 130


@click.command()
@click.argument("playbook", default="site.yml")
@click.option("--on", metavar="SELECTOR", help="Only these nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option("--commands", is_flag=True, help="Show what will be typed on the nodes.")
@click.option("--exit-code", is_flag=True, help="Exit 5 when there are changes.")
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Save the plan for fleet deploy --plan."
)
@click.option("--refresh-secrets", is_flag=True, help="Look at every secret, also those that seem unchanged.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def plan(
    ctx: click.Context,
    playbook: str,
    on: str | None,
    commands: bool,
    exit_code: bool,
    out: Path | None,
    refresh_secrets: bool,
    as_json: bool,
) -> None:
    """Show what a deploy would change; change nothing."""
    deployer, wanted = _deployer(
        ctx, Wanted(playbook=playbook, on=on, overrides=overrides_of(ctx), refresh_secrets=refresh_secrets)
    )
    prepared = deployer.prepare(wanted)
    console = Console(stderr=True, quiet=as_json)
    view = run_view(console, [job.name for job in prepared.jobs], json=False, keep=False)
    with view, deployer.run(prepared, show=view.show) as run:
        run.check()
        run.release()
    plans = _in_order(prepared, run)
    _show_plan(prepared, plans, deployer.origin(), as_json=as_json, commands=commands)
    if out and plans:
        write_plan(out, deployer.save(prepared, run, origin=deployer.origin()))
        narrate(f"saved: fleet deploy --plan {out} does exactly this, or refuses")
    problem = looked_at(run.results, plans)
    if problem:
        _tell_untold(console, run)
        raise problem
    if exit_code and any(not one.idle for one in plans.values()):
        ctx.exit(_EXIT_CHANGES)


@click.command()
@click.argument("playbook", default="site.yml")
@click.option("--on", metavar="SELECTOR", help="Only these nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option("--commands", is_flag=True, help="Show what will be typed on the nodes.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--plan",
    "saved",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Do exactly this saved plan; a node that moved since is refused.",
)
@click.option("--force", is_flag=True, help="Also from an older checkout, and a release that failed before.")
@click.option("--downgrade", is_flag=True, help="Also over what a newer fleet deployed.")
@click.option("--refresh-secrets", is_flag=True, help="Look at every secret, also those that seem unchanged.")
@click.option("--json", "as_json", is_flag=True, help="The run's events as JSON lines on stdout (with --yes).")
@click.pass_context
def deploy(
    ctx: click.Context,
    playbook: str,
    on: str | None,
    commands: bool,
    yes: bool,
    saved: Path | None,
    force: bool,
    downgrade: bool,
    refresh_secrets: bool,
    as_json: bool,
) -> None:
    """Make the nodes what inventory and playbook say: plan, ask, change in gated batches."""
    if as_json and not yes:
        raise click.UsageError("--json needs --yes: there is nobody to ask")
    if saved and (on or ctx.get_parameter_source("playbook") is not ParameterSource.DEFAULT):
        raise click.UsageError("--plan has its playbook and its nodes: name neither")
    deployer, wanted = _deployer(
        ctx,
        Wanted(
            playbook=playbook,
            on=on,
            overrides=overrides_of(ctx),
            force=force,
            downgrade=downgrade,
            refresh_secrets=refresh_secrets,
            saved=read_plan(saved) if saved else None,
        ),
    )
    prepared = deployer.prepare(wanted)
    console = Console(stderr=as_json)
    view = run_view(console, [job.name for job in prepared.jobs], json=as_json, keep=False)
    with deployer.run(prepared, show=view.show) as run:
        with view:
            run.check()
            run.leave_refused()
        plans = _in_order(prepared, run)
        order = run_batches(prepared, plans)
        if order and not as_json:
            _show_plan(prepared, plans, deployer.origin(), as_json=False, commands=commands)
        if not as_json:
            _tell_untold(console, run)
        if order:
            if not yes and not _agreed(plans):
                run.release()
                narrate("nothing was changed")
                ctx.exit(1)
            view = run_view(console, [node for batch in order for node in batch.nodes], json=as_json)
            last: dict[str, RunEvent] = {}
            run.show_with(partial(_remember_and_show, last, view))
            try:
                with view:
                    run.apply(order)
            except KeyboardInterrupt:
                narrate(_left_alone(last))
                ctx.exit(_STOPPED)
    problem = verdict(run.results)
    if problem:
        raise problem
    if not as_json:
        changed = sum(result.outcome == "changed" for result in run.results.values())
        count = len(run.results)
        them = f"{count} nodes are as they" if count != 1 else "the node is as it"
        narrate(f"{them} should be, {changed} changed" if changed else nothing_to_do(plans))


def _deployer(ctx: click.Context, wanted: Wanted) -> tuple[Deployer, Wanted]:
    deployer = Deployer(project_of(ctx), link=link_of(ctx), cache=Cache(), clock=SystemClock(), notify=narrate)
    return deployer, wanted


def _in_order(prepared: Prepared, run: Run) -> Mapping[NodeName, NodePlan]:
    """The plans in the order of the inventory, not in that of the answers."""
    return {job.name: run.plans[job.name] for job in prepared.jobs if job.name in run.plans}


def _show_plan(
    prepared: Prepared, plans: Mapping[NodeName, NodePlan], origin: Origin, *, as_json: bool, commands: bool
) -> None:
    order = run_batches(prepared, plans)
    if as_json:
        print_json(plan_json(plans, order, origin=origin))
    else:
        print_plan(Console(), plans, order, commands=commands, origin=origin)


def _agreed(plans: Mapping[NodeName, NodePlan]) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody to ask: stdin is not a terminal. --yes deploys without asking")
    nodes = sum(not one.idle for one in plans.values())
    return click.confirm(f"Change {nodes} node{'s' if nodes != 1 else ''}?", err=True)


def _remember_and_show(last: dict[str, RunEvent], view: RunView, event: RunEvent) -> None:
    if event.node:
        last[event.node] = event
    view.show(event)


def _left_alone(last: Mapping[str, RunEvent]) -> str:
    """What ^C means for the nodes: one that has taken its run finishes it, the others stay as they are."""
    begun = (Phase.STAGE, Phase.APPLY, Phase.GATE, Phase.REVERT)
    alone = [node for node, event in last.items() if not event.outcome and event.phase in begun]
    if not alone:
        return "stopped"
    verb = "finishes by itself" if len(alone) == 1 else "finish by themselves"
    return f"stopped; {names_text(alone)} {verb}. fleet plan shows what is left to do"


def _tell_untold(console: Console, run: Run) -> None:
    """Why nodes are not in the plan, in full: on a terminal their rows are gone. Elsewhere it has been told."""
    for result in run.results.values():
        if result.error and console.is_terminal:
            for line in result.error.text.splitlines():
                hang(console, Text(line, style="red"), indent=8 if line.startswith("  hint:") else 2)
