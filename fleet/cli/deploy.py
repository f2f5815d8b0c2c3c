"""`fleet plan` and `fleet deploy`: one path, shown before it is done."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource
from rich.console import Console

from fleet.cli.bundled import BUNDLE, bundle_of
from fleet.cli.carryout import carry_out, in_order, show_plan, tell_untold
from fleet.cli.context import link_of, narrate, overrides_of, project_of
from fleet.cli.runview import run_view
from fleet.control.actions.deploy import Deployer, Wanted, looked_at
from fleet.control.rollout.planfile import read_plan, write_plan
from fleet.control.supply.cache import Cache
from fleet.vocabulary.clock import SystemClock

_EXIT_CHANGES = 5


@click.command()
@click.argument("playbook", default="site.yml")
@click.option("--on", metavar="SELECTOR", help="Only these nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option("--commands", is_flag=True, help="Show what will be typed on the nodes.")
@BUNDLE
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
    bundled: Path | None,
    refresh_secrets: bool,
    as_json: bool,
) -> None:
    """Show what a deploy would change; change nothing."""
    deployer, wanted = _deployer(
        ctx,
        Wanted(
            playbook=playbook,
            on=on,
            overrides=overrides_of(ctx),
            refresh_secrets=refresh_secrets,
            bundle=bundle_of(bundled),
        ),
    )
    prepared = deployer.prepare(wanted)
    console = Console(stderr=True, quiet=as_json)
    view = run_view(console, [job.name for job in prepared.jobs], json=False, keep=False)
    with view, deployer.run(prepared, show=view.show) as run:
        run.check()
        run.release()
    plans = in_order(prepared, run)
    show_plan(prepared, plans, deployer.origin(prepared), as_json=as_json, commands=commands)
    if out and plans:
        write_plan(out, deployer.save(prepared, run, origin=deployer.origin(prepared)))
        narrate(f"saved: fleet deploy --plan {out} does exactly this, or refuses")
    problem = looked_at(run.results, plans)
    if problem:
        tell_untold(console, run)
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
@BUNDLE
@click.option("--force", is_flag=True, help="Also from an older checkout, and a release that failed before.")
@click.option("--downgrade", is_flag=True, help="Also over what a newer fleet deployed.")
@click.option("--failed", is_flag=True, help="The nodes that are not as they should be since the last run.")
@click.option("--resume", metavar="RUN", help="Go on with a run that was left: its id, or last.")
@click.option("--steal", is_flag=True, help="Take nodes over from other runs, which go back first.")
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
    bundled: Path | None,
    force: bool,
    downgrade: bool,
    failed: bool,
    resume: str | None,
    steal: bool,
    refresh_secrets: bool,
    as_json: bool,
) -> None:
    """Make the nodes what inventory and playbook say: plan, ask, change in gated batches."""
    if as_json and not yes:
        raise click.UsageError("--json needs --yes: there is nobody to ask")
    named = on or ctx.get_parameter_source("playbook") is not ParameterSource.DEFAULT
    whole = [option for option, given in (("--plan", saved), ("--failed", failed), ("--resume", resume)) if given]
    if len(whole) > 1:
        raise click.UsageError(f"{whole[0]} and {whole[1]} are two different deploys")
    if whole and named:
        raise click.UsageError(f"{whole[0]} has its playbook and its nodes: name neither")
    deployer, wanted = _deployer(
        ctx,
        Wanted(
            playbook=playbook,
            on=on,
            overrides=overrides_of(ctx),
            force=force,
            downgrade=downgrade,
            steal=steal,
            refresh_secrets=refresh_secrets,
            saved=read_plan(saved) if saved else None,
            bundle=bundle_of(bundled),
        ),
    )
    prepared = deployer.prepare(deployer.of_run(wanted, failed=failed, resume=resume))
    carry_out(ctx, deployer, prepared, commands=commands, yes=yes, as_json=as_json)


def _deployer(ctx: click.Context, wanted: Wanted) -> tuple[Deployer, Wanted]:
    deployer = Deployer(project_of(ctx), link=link_of(ctx), cache=Cache(), clock=SystemClock(), notify=narrate)
    return deployer, wanted
