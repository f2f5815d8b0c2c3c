"""`fleet rollback`: bring nodes back to a release that they keep."""

from __future__ import annotations

import click

from fleet.cli.carryout import carry_out
from fleet.cli.context import narrate, overrides_of, project_of
from fleet.cli.nodewords import asking_of
from fleet.cli.place import Place
from fleet.control.actions.deploy import Deployer, Wanted
from fleet.control.actions.playbooks import playbook_of
from fleet.control.actions.rollback import prepare_rollback
from fleet.control.actions.runs import to_resume
from fleet.control.rollout.runrecord import RunRecord, RunStore
from fleet.control.supply.cache import Cache


@click.command()
@click.argument("names", nargs=-1, metavar="[NODE]...")
@click.option("--on", metavar="SELECTOR", help="These nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option("--to", metavar="RELEASE", help="The release by the beginning of its name; else the one before the live.")
@click.option("--playbook", default="site.yml", help="Whose batches and strategies count.")
@click.option("--commands", is_flag=True, help="Show what will be typed on the nodes.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also to a release that failed before.")
@click.option("--resume", metavar="RUN", help="Go on with a rollback that was left: its id, or last.")
@click.option("--json", "as_json", is_flag=True, help="The run's events as JSON lines on stdout (with --yes).")
@click.pass_context
def rollback(
    ctx: click.Context,
    names: tuple[str, ...],
    on: str | None,
    to: str | None,
    playbook: str,
    commands: bool,
    yes: bool,
    force: bool,
    resume: str | None,
    as_json: bool,
) -> None:
    """Bring nodes back to a release that they keep: plan, ask, change in gated batches, as a deploy does.

    The node's own record is the wish: nothing is compiled, and the checkout does not count. Secrets come from the
    copies that the node keeps for that release. The next deploy goes forward again.
    """
    if as_json and not yes:
        raise click.UsageError("--json needs --yes: there is nobody to ask")
    left: RunRecord | None = None
    if resume:
        if names or on is not None or to is not None:
            raise click.UsageError("--resume has its nodes and their releases: name neither")
        runs = RunStore(project_of(ctx).state_dir / "runs")
        left = runs.one(resume)
        names = to_resume(left, live=runs.is_live(left.run_id), action="rollback")
        playbook = left.playbook
    elif not names and on is None:
        raise click.UsageError("which nodes? name them, or --on all")
    place = Place.of(ctx, names, on)
    wanted = Wanted(playbook=playbook, on=on, overrides=overrides_of(ctx), force=force, resume=left)
    with asking_of(ctx, place.project) as asking:
        cache = Cache()
        prepared = prepare_rollback(
            place.inventory,
            playbook_of(place.project, playbook),
            place.nodes,
            to=to,
            wanted=wanted,
            asking=asking,
            cache=cache,
        )
        deployer = Deployer(place.project, link=asking.link, cache=cache, clock=asking.clock, notify=narrate)
        carry_out(ctx, deployer, prepared, commands=commands, yes=yes, as_json=as_json)
