"""`fleet ps`: the requests in flight."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import click
import msgspec

from fleet.cli.context import print_json, project_of, selected
from fleet.cli.doors import Doors, doors, json_option, plain_option, playbook_option, show, tell_problems
from fleet.control.actions.gateways import GatewayNode, exit_code
from fleet.control.actions.requests import RequestTable, list_requests
from fleet.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

_EVERY_SECONDS = 2.0


@click.command()
@click.option("--on", metavar="SELECTOR", help="Only the gateways of these nodes: names, groups, @tags, !not.")
@click.option("--watch", is_flag=True, help="Show it again every 2 s, until Ctrl-C.")
@json_option
@plain_option
@playbook_option
@click.pass_context
def ps(ctx: click.Context, on: str | None, watch: bool, as_json: bool, plain: bool, playbook: str) -> None:
    """Show the requests in flight on all gateways: whose, where, how far.

    A request that a front sent to an edge is shown once; PHASE has the edge's word after a stroke where it differs.
    IN is predicted until the model said it; OUT counts pieces. Exit code: 3 some gateways did not answer, 4 none did.
    """
    if as_json and plain:
        raise click.UsageError("--json or --plain, not both")
    with doors(ctx, playbook) as found:
        wanted = _wanted(ctx, found, on)
        if watch:
            _watch(found, wanted, as_json=as_json, plain=plain)
            return
        table, errors = list_requests(wanted, found.open)
    tell_problems(errors)
    if as_json:
        print_json(msgspec.to_builtins(table))
    elif plain:
        from fleet.cli.gatewayview import requests_lines

        sys.stdout.writelines(f"{line}\n" for line in requests_lines(table))
    elif len(errors) < len(wanted):
        from rich.console import Console

        from fleet.cli.gatewayview import requests_screen

        console = Console()
        show(requests_screen(table, width=console.width), console)
    ctx.exit(exit_code(len(wanted), errors))


def _wanted(ctx: click.Context, found: Doors, on: str | None) -> tuple[GatewayNode, ...]:
    chosen = {node.name for node in selected(project_of(ctx), found.inventory, on)}
    wanted = tuple(gateway for gateway in found.all if gateway.name in chosen)
    if not wanted:
        known = ", ".join(gateway.name for gateway in found.all)
        raise UsageError(f"no gateway is on {on!r}", hint=f"nodes with one: {known}")
    return wanted


def _watch(found: Doors, wanted: tuple[GatewayNode, ...], *, as_json: bool, plain: bool) -> None:
    """Rounds until Ctrl-C. What is not a terminal gets one block per round."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from fleet.cli.gatewayview import requests_lines, requests_screen

    console = Console()

    def picture(table: RequestTable) -> RenderableType:
        troubles = [Text(f"{name}: {why}", style="red") for name, why in table.errors.items()]
        return Group(requests_screen(table, width=console.width), *troubles)

    try:
        if as_json or plain or not console.is_terminal:
            while True:
                table, _ = list_requests(wanted, found.open)
                if as_json:
                    sys.stdout.write(json.dumps(msgspec.to_builtins(table), ensure_ascii=False) + "\n")
                elif plain:
                    sys.stdout.write("".join(f"{line}\n" for line in requests_lines(table)) + "\n")
                else:
                    show(picture(table), console)
                sys.stdout.flush()
                time.sleep(_EVERY_SECONDS)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(picture(list_requests(wanted, found.open)[0]), refresh=True)
                time.sleep(_EVERY_SECONDS)
    except KeyboardInterrupt:
        return
