"""`fleet status`: every node of the inventory, now or as it was seen last."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import msgspec

from fleet.cli.context import link_to, overrides_of, print_json, project_of, selected
from fleet.cli.span import Span
from fleet.control.inventory import load_inventory
from fleet.control.watch.backfill import Backfill
from fleet.control.watch.book import HealthBook
from fleet.control.watch.laptop import OwnNetwork, Wakes
from fleet.control.watch.poll import Poller
from fleet.control.watch.seen import SeenFiles
from fleet.control.watch.seriesfiles import SeriesFiles
from fleet.control.watch.token import agent_token, gateway_key
from fleet.control.watch.viafront import DIRECT_NODES, Asker, ThroughFront
from fleet.control.watch.view import FleetView
from fleet.control.watch.watcher import Watcher
from fleet.errors import UsageError
from fleet.vocabulary.clock import SystemClock

if TYPE_CHECKING:
    from rich.console import Console

    from fleet.control.inventory import Node

DIRECT = "direct"
_EVERY_SECONDS = 5.0


@click.command()
@click.option("--on", metavar="SELECTOR", help="Only these nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout; with --watch one line per round.")
@click.option("--plain", is_flag=True, help="One fact per line, for eyes and scripts without a table.")
@click.option("--watch", is_flag=True, help="Show it again every 5 s, until Ctrl-C.")
@click.option(
    "--via",
    metavar="FRONT|direct",
    help=f"Ask this front for all nodes, or every node itself; above {DIRECT_NODES} nodes the fronts, when absent.",
)
@click.option(
    "--playbook", default="site.yml", show_default=True, help="The playbook that says which nodes are fronts."
)
@click.option("--timeout", type=Span(), default="5s", show_default=True, help="How long a node may take to answer.")
@click.pass_context
def status(
    ctx: click.Context,
    on: str | None,
    as_json: bool,
    plain: bool,
    watch: bool,
    via: str | None,
    playbook: str,
    timeout: float,
) -> None:
    """Show every node: what runs, how it does, since when, and how old that knowledge is.

    What changed since the last look is kept: fleet events shows it.

    Exit code: 0 all well, 1 something is critical, 3 some nodes were not reached, 4 none was.
    """
    if as_json and plain:
        raise click.UsageError("--json or --plain, not both")
    project = project_of(ctx)
    inventory = load_inventory(project, overrides=overrides_of(ctx))
    nodes = selected(project, inventory, on)
    if not nodes:
        raise UsageError(f"no node fits {on!r}", hint="fleet inventory list shows the nodes")
    link = link_to(project, inventory)
    clock = SystemClock()
    token_for, key_for, base = agent_token(project), gateway_key(project), project.root
    poller: Asker = Poller(link, token_for=token_for, key_for=key_for, clock=clock, timeout_seconds=timeout, base=base)
    if via is not None or len(nodes) > DIRECT_NODES:
        fronts: tuple[Node, ...] = ()
        if via != DIRECT:
            from fleet.cli.statusfronts import fronts_to_ask

            fronts = fronts_to_ask(project, inventory, via, playbook)
        poller = ThroughFront(
            poller, link=link, fronts=fronts, key_for=key_for, clock=clock, base=base, timeout_seconds=timeout
        )
    watcher = Watcher(
        poller=poller,
        seen=SeenFiles(project.state_dir / "seen"),
        book=HealthBook(project.state_dir / "events"),
        clock=clock,
        wakes=Wakes(clock),
        network=OwnNetwork(),
        known=inventory.nodes,
        nodes=nodes,
        backfill=Backfill(SeriesFiles(project.state_dir / "series"), token_for=token_for, clock=clock),
    )
    try:
        if watch:
            _watch(watcher, as_json=as_json, plain=plain)
            return
        view = watcher.look()
        _show(view, as_json=as_json, plain=plain)
        sys.stdout.flush()
        watcher.catch_up()
    finally:
        poller.close()
        link.close()
    ctx.exit(view.exit_code)


def _show(view: FleetView, *, as_json: bool, plain: bool) -> None:
    """One picture."""
    if as_json:
        print_json(msgspec.to_builtins(view))
    elif plain:
        from fleet.cli.statusplain import plain_lines

        click.echo("\n".join(plain_lines(view)))
    else:
        from rich.console import Console

        from fleet.cli.statusview import screen

        console = Console()
        console.print(screen(view, width=console.width, unicode=_unicode(console)))


def _watch(watcher: Watcher, *, as_json: bool, plain: bool) -> None:
    """Rounds until Ctrl-C. What is not a terminal gets one block per round."""
    from rich.console import Console
    from rich.live import Live

    from fleet.cli.statusplain import plain_lines
    from fleet.cli.statusview import screen

    console = Console()
    try:
        if as_json or plain or not console.is_terminal:
            for view in _rounds(watcher):
                if as_json:
                    sys.stdout.write(json.dumps(msgspec.to_builtins(view), ensure_ascii=False) + "\n")
                elif plain:
                    sys.stdout.write("\n".join(plain_lines(view)) + "\n\n")
                else:
                    console.print(screen(view, width=console.width, unicode=_unicode(console)))
                sys.stdout.flush()
            return
        with Live(console=console, screen=True, auto_refresh=False) as live:
            for view in _rounds(watcher):
                picture = screen(view, width=console.width, height=console.height, unicode=_unicode(console))
                live.update(picture, refresh=True)
    except KeyboardInterrupt:
        return


def _rounds(watcher: Watcher) -> Iterator[FleetView]:
    while True:
        began = time.monotonic()
        yield watcher.look()
        watcher.catch_up()
        time.sleep(max(0.0, _EVERY_SECONDS - (time.monotonic() - began)))


def _unicode(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")
