"""`fleet status`: every node of the inventory, now or as it was seen last."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import msgspec

from fleet.cli.context import print_json
from fleet.cli.span import Span
from fleet.cli.watching import watching
from fleet.control.watch.viafront import DIRECT_NODES
from fleet.control.watch.view import FleetView
from fleet.control.watch.watcher import Watcher

if TYPE_CHECKING:
    from rich.console import Console


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
    with watching(ctx, on=on, via=via, playbook=playbook, timeout_seconds=timeout) as watcher:
        if watch:
            _watch(watcher, as_json=as_json, plain=plain)
            return
        view = watcher.look()
        _show(view, as_json=as_json, plain=plain)
        sys.stdout.flush()
        watcher.catch_up()
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
