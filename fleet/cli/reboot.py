"""`fleet reboot`: restart Macs one after the other, without a request that fails."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from rich.console import Console

from fleet.cli.audited import write_down
from fleet.cli.context import link_of, narrate, overrides_of, project_of, selected
from fleet.cli.doors import playbook_option, who
from fleet.cli.runview import run_view
from fleet.control.actions.gateways import GatewayNode, Gateways, fleet_key, gateways
from fleet.control.actions.playbooks import playbook_of
from fleet.control.actions.reboot import Rebooter, RebootTerms
from fleet.control.inventory import Inventory, Node, load_inventory
from fleet.control.inventory.project import Project
from fleet.control.rollout.conversation import SyncPart
from fleet.control.rollout.journal import Journal, new_run_id
from fleet.control.supply.nodepart import sync_zipapp
from fleet.control.supply.secrets import resolve_secret
from fleet.errors import PartialFailure, RunFailed, Unreachable, UsageError
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.units import parse_seconds


class _Span(click.ParamType[float]):
    """A span of time."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        try:
            return parse_seconds(value if isinstance(value, int | float) else str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("names", nargs=-1, metavar="[NODE]...")
@click.option("--on", metavar="SELECTOR", help="These nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option("--rolling", is_flag=True, help="One after the other: what several nodes need.")
@click.option(
    "--drain", type=_Span(), default="5m", show_default=True, help="How long running requests may take to end."
)
@click.option("--back", type=_Span(), default="15m", show_default=True, help="How long a node may take to come back.")
@click.option("--authrestart", metavar="REFERENCE", help="FileVault: the secret that unlocks once, such as op://….")
@click.option("--force", is_flag=True, help="Also when a served model would have nobody left, or requests still run.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="The events as JSON lines on stdout (with --yes).")
@playbook_option
@click.pass_context
def reboot(
    ctx: click.Context,
    names: tuple[str, ...],
    on: str | None,
    rolling: bool,
    drain: float,
    back: float,
    authrestart: str | None,
    force: bool,
    yes: bool,
    as_json: bool,
    playbook: str,
) -> None:
    """Restart nodes: no new work, wait for what runs, restart, prove the gates of the release, new work again.

    A node that does not come back, or whose gates fail, stops the rest. With FileVault on a restart ends at the unlock
    screen, where nothing of fleet runs: that is refused, unless --authrestart names the password that unlocks it once.

    Exit code: 1 failed, 3 some nodes were restarted, 4 the first could not be reached.
    """
    if bool(names) == (on is not None):
        raise UsageError("which nodes? name them, or say --on SELECTOR", hint="--on all restarts every node")
    if as_json and not yes:
        raise UsageError("--json needs --yes: there is nobody to ask")
    project = project_of(ctx)
    inventory = load_inventory(project, overrides=overrides_of(ctx))
    nodes = _wanted(project, inventory, names, on)
    if len(nodes) > 1 and not rolling:
        raise UsageError(f"{len(nodes)} nodes, all at once?", hint="--rolling restarts one after the other")
    found = gateways(inventory, playbook_of(project, playbook))
    password = None if authrestart is None else resolve_secret(authrestart, project)
    terms = RebootTerms(operator=who(), drain_seconds=drain, back_seconds=back, force=force, password=password)
    if not yes:
        _ask(nodes, found)
    clock = SystemClock()
    digest, content = sync_zipapp()
    link = link_of(ctx)
    doors = Gateways(link, base=project.root, key_for=fleet_key(project))
    view = run_view(Console(stderr=as_json), [node.name for node in nodes], json=as_json)
    run_id = new_run_id(clock.now())
    journal = Journal(run_id, clock=clock, show=view.show, path=project.state_dir / "runs" / f"{run_id}.jsonl")
    try:
        with view:
            rebooter = Rebooter(
                found, doors, link=link, base=project.root, sync=SyncPart(digest=digest, content=content),
                journal=journal, clock=clock,
            )  # fmt: skip
            failed = rebooter.run(nodes, terms)
    finally:
        journal.close()
        doors.close()
        link.close()
    count = nodes.index(inventory.node(next(iter(failed)))) if failed else len(nodes)
    write_down(ctx, "reboot", [node.name for node in nodes[:count]], {}, run_id=run_id)
    write_down(ctx, "reboot", failed, failed)  # an entry of its own: the node's says that it began to restart
    for name, error in failed.items():
        done = nodes.index(inventory.node(name))
        rest = f"{done} of {len(nodes)} nodes were restarted; not: {name}"
        if done:
            raise PartialFailure(rest)
        raise Unreachable(error.title, node=name) if isinstance(error, Unreachable) else RunFailed(rest)
    if not as_json:
        narrate(
            "restarted, and as it should be"
            if len(nodes) == 1
            else f"{len(nodes)} nodes restarted, all as they should be"
        )


def _wanted(project: Project, inventory: Inventory, names: Sequence[str], on: str | None) -> list[Node]:
    if names:
        return [inventory.node(name) for name in dict.fromkeys(names)]
    nodes = list(selected(project, inventory, on))
    if not nodes:
        raise UsageError(f"no node fits {on!r}", hint="fleet inventory list shows the nodes")
    return nodes


def _ask(nodes: Sequence[Node], found: Sequence[GatewayNode]) -> None:
    """Say what it means, then ask."""
    if not sys.stdin.isatty():
        raise UsageError("nobody to ask: stdin is not a terminal", hint="--yes restarts without asking")
    fronts = [gateway.name for gateway in found if gateway.is_front]
    narrate(f"restart, in this order: {', '.join(node.name for node in nodes)}")
    if len(fronts) == 1 and fronts[0] in {node.name for node in nodes}:
        narrate(f"{fronts[0]} is the only front: clients are refused while it is drained and restarts")
    click.confirm("Go on?", err=True, abort=True)
