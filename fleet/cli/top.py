"""`fleet top`: the fleet on one screen."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fleet.cli.context import link_to, overrides_of, project_of
from fleet.cli.span import Span
from fleet.cli.watching import watching
from fleet.control.inventory import load_inventory
from fleet.control.watch.seriesfiles import SeriesFiles
from fleet.control.watch.viafront import DIRECT_NODES
from fleet.errors import FleetError, UsageError
from fleet.vocabulary.clock import Clock, SystemClock
from fleet.vocabulary.eventfiles import EventFiles

if TYPE_CHECKING:
    from fleet.control.actions.runlist import RunList
    from fleet.tui.actions import Actions
    from fleet.tui.logs_screen import LogsOf
    from fleet.tui.traffic_source import TrafficSource


@click.command()
@click.option("--on", metavar="SELECTOR", help="Only these nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option(
    "--via",
    metavar="FRONT|direct",
    help=f"Ask this front for all nodes, or every node itself; above {DIRECT_NODES} nodes the fronts, when absent.",
)
@click.option(
    "--playbook", default="site.yml", show_default=True, help="The playbook that says which nodes are fronts."
)
@click.option("--timeout", type=Span(), default="5s", show_default=True, help="How long a node may take to answer.")
@click.option("--read-only", is_flag=True, help="Only look: no key and no entry of the palette changes anything.")
@click.pass_context
def top(ctx: click.Context, on: str | None, via: str | None, playbook: str, timeout: float, read_only: bool) -> None:
    """Show every node, the sickest first, with why and what to do. `?` shows every key.

    Colours follow the theme (T) and NO_COLOR; shapes and words say the same.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("fleet top needs a terminal", hint="fleet status --plain, --json or --watch is for the rest")
    with ExitStack() as stack:
        watcher = stack.enter_context(watching(ctx, on=on, via=via, playbook=playbook, timeout_seconds=timeout))
        from fleet.tui.app import FleetTop
        from fleet.tui.source import Polled

        unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        kept = project_of(ctx).state_dir
        history, told = SeriesFiles(kept / "series"), EventFiles(kept / "events")
        actions = None if read_only else _actions(ctx, playbook)
        source, clock = Polled(watcher), SystemClock()
        traffic = _traffic(ctx, playbook, stack, clock)
        FleetTop(
            source,
            clock=clock,
            history=history,
            told=told,
            traffic=traffic,
            runs=partial(_runs, kept / "runs"),
            logs=_logs(ctx, stack, clock),
            exports=kept / "exports",
            actions=actions,
            unicode=unicode,
        ).run()


def _runs(folder: Path) -> RunList:
    from fleet.control.actions.runlist import RunList
    from fleet.control.rollout.runrecord import RunStore

    return RunList(RunStore(folder))


def _logs(ctx: click.Context, stack: ExitStack, clock: Clock) -> LogsOf:
    """Logs have connections of their own: who reads them keeps nobody from looking at the fleet."""
    from fleet.control.actions.logs import LogTail

    project = project_of(ctx)
    inventory = load_inventory(project, overrides=overrides_of(ctx))
    link = link_to(project, inventory)
    stack.callback(link.close)
    return lambda nodes: LogTail([inventory.node(node) for node in nodes], link=link, base=project.root, clock=clock)


def _traffic(ctx: click.Context, playbook: str, stack: ExitStack, clock: Clock) -> TrafficSource | None:
    """None where there is no front to ask. A playbook that cannot be read makes none: `fleet lint` says why."""
    from fleet.cli.doors import doors
    from fleet.control.actions.traffic import TrafficLook
    from fleet.tui.traffic_source import PolledTraffic

    try:
        found = stack.enter_context(doors(ctx, playbook))
    except FleetError:
        return None
    if not any(gateway.is_front for gateway in found.all):
        return None
    return PolledTraffic(TrafficLook(found.all, found.open, clock=clock))


def _actions(ctx: click.Context, playbook: str) -> Actions:
    from fleet.cli.main import cli
    from fleet.cli.topactions import VerbActions, offered, options_of

    return VerbActions(offered(cli, ctx, playbook=playbook), options=options_of(ctx))
