"""`fleet restart`: services of a node, without a request that fails."""

from __future__ import annotations

import click
from rich.console import Console

from fleet.cli.audited import write_down
from fleet.cli.context import link_of, narrate, overrides_of, project_of
from fleet.cli.doors import playbook_option, who
from fleet.cli.runview import run_view
from fleet.control.actions.gateways import Gateways, fleet_key, gateways
from fleet.control.actions.playbooks import playbook_of
from fleet.control.actions.restart import Restarter, RestartTerms
from fleet.control.inventory import load_inventory
from fleet.control.rollout.conversation import SyncPart
from fleet.control.rollout.journal import Journal, new_run_id
from fleet.control.supply.nodepart import sync_zipapp
from fleet.errors import RunFailed, Unreachable
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.units import parse_seconds


class _Span(click.ParamType[float]):
    """A span of time; 0 is one, too."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        try:
            return parse_seconds(value if isinstance(value, int | float) else str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("name", metavar="NODE")
@click.argument("services", metavar="[SERVICE]...", nargs=-1)
@click.option("--drain", type=_Span(), help="How long running requests may take to end; else the node's deploy_drain.")
@click.option("--force", is_flag=True, help="Also when a served model would have nobody left, or requests still run.")
@click.option("--json", "as_json", is_flag=True, help="The events as JSON lines on stdout.")
@playbook_option
@click.pass_context
def restart(
    ctx: click.Context,
    name: str,
    services: tuple[str, ...],
    drain: float | None,
    force: bool,
    as_json: bool,
    playbook: str,
) -> None:
    """Restart services of NODE (agent, gateway, sidecar.NAME; every sidecar when none is named).

    What is stopped gets no new work first, and what runs there may end; then it restarts, its gates are passed, and it
    gets new work again. The node does it: it goes on when this command is stopped.

    Exit code: 1 failed, 4 the node could not be reached.
    """
    project = project_of(ctx)
    inventory = load_inventory(project, overrides=overrides_of(ctx))
    node = inventory.node(name)
    found = gateways(inventory, playbook_of(project, playbook))
    clock = SystemClock()
    digest, content = sync_zipapp()
    link = link_of(ctx)
    doors = Gateways(link, base=project.root, key_for=fleet_key(project))
    view = run_view(Console(stderr=as_json), [node.name], json=as_json)
    run_id = new_run_id(clock.now())
    journal = Journal(run_id, clock=clock, show=view.show, path=project.state_dir / "runs" / f"{run_id}.jsonl")
    try:
        with view:
            restarter = Restarter(
                found, doors, link=link, base=project.root, sync=SyncPart(digest=digest, content=content),
                journal=journal, clock=clock,
            )  # fmt: skip
            terms = RestartTerms(operator=who(), drain_seconds=drain, force=force)
            failed = restarter.run(node, services, terms)
    finally:
        journal.close()
        doors.close()
        link.close()
    errors = {} if failed is None else {node.name: failed}
    write_down(ctx, "restart", [node.name], errors, text=" ".join(services), run_id=run_id)
    if isinstance(failed, Unreachable):
        raise Unreachable(failed.title, node=node.name, hint=failed.hint)
    if failed is not None:
        raise RunFailed(f"{node.name} was not restarted as asked")
    if not as_json:
        narrate("restarted, and as it should be")
