"""`fleet events`: what went wrong with which node, since when, for how long, and what to do. Asks no node."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click
import msgspec

from fleet.cli.context import overrides_of, print_json, project_of
from fleet.cli.span import Span
from fleet.control.inventory import load_inventory
from fleet.control.watch.eventrows import EventRow, rows_of
from fleet.vocabulary.clock import Clock, SystemClock
from fleet.vocabulary.eventfiles import EventFiles
from fleet.vocabulary.names import Health
from fleet.vocabulary.units import seconds_text

if TYPE_CHECKING:
    from rich.console import RenderableType

_EVERY_SECONDS = 1.0
_MARKS = {
    Health.WARN: ("▲", "!", "yellow"),
    Health.CRITICAL: ("■", "X", "bold red"),
    Health.UNKNOWN: ("?", "?", "cyan"),
    Health.OK: ("●", "+", "green"),
}
_INTENT_MARK = ("◇", "v", "blue")


@click.command()
@click.argument("node", required=False)
@click.option(
    "--since", "back", type=Span(), default="24h", show_default=True, help="What lasted within this span until now."
)
@click.option("--follow", is_flag=True, help="Go on with what changes, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout; with --follow one row per line.")
@click.pass_context
def events(ctx: click.Context, node: str | None, back: float, follow: bool, as_json: bool) -> None:
    """Show what went wrong, since when, until when, and what to do; and who was drained.

    The rows come from what `fleet status` saw: leave `fleet status --watch` running to miss nothing.
    """
    project = project_of(ctx)
    if node is not None:
        node = load_inventory(project, overrides=overrides_of(ctx)).node(node).name
    files, clock = EventFiles(project.state_dir / "events"), SystemClock()
    rows = within(rows_of(files.read(), clock.now()), clock.now() - timedelta(seconds=back), node=node)
    if follow:
        try:
            _show(rows, as_json=as_json, each=True)
            for changed in followed(files, clock, rows, node=node):
                _show(changed, as_json=as_json, each=True)
        except KeyboardInterrupt:
            return
    elif as_json:
        print_json(msgspec.to_builtins(rows))
    elif rows:
        _show(rows, as_json=False)
    else:
        where = f" on {node}" if node else ""
        click.echo(f"nothing went wrong{where} in the last {seconds_text(back)}, as far as fleet status looked")


def within(rows: Sequence[EventRow], start: datetime, *, node: str | None = None) -> tuple[EventRow, ...]:
    """The rows that lasted into the time after `start`."""
    wanted = (row for row in rows if node in (None, row.node))
    return tuple(row for row in wanted if row.until is None or row.until >= start)


def followed(
    files: EventFiles, clock: Clock, rows: Sequence[EventRow], *, node: str | None = None
) -> Iterator[tuple[EventRow, ...]]:
    """Rows that are new or other than before, as they come; for ever. Those of `rows` are known."""
    start = clock.now()
    known = {_key(row): _state(row) for row in rows}
    before = files.signature()
    while True:
        clock.sleep(_EVERY_SECONDS)
        if (now := files.signature()) == before:
            continue
        before = now
        fresh = within(rows_of(files.read(), clock.now()), start, node=node)
        changed = tuple(row for row in fresh if known.get(_key(row)) != _state(row))
        known |= {_key(row): _state(row) for row in changed}
        if changed:
            yield changed


def _key(row: EventRow) -> tuple[object, ...]:
    return row.node, row.check, row.subject, row.since


def _state(row: EventRow) -> tuple[object, ...]:
    return row.health, row.intent, row.until


def _show(rows: Sequence[EventRow], *, as_json: bool, each: bool = False) -> None:
    """Rows for people, or one JSON document a line."""
    if as_json:
        for row in rows:
            sys.stdout.write(json.dumps(msgspec.to_builtins(row), ensure_ascii=False) + "\n")
    elif rows:
        from rich.console import Console

        console = Console()
        with console.capture() as capture:
            unicode = console.encoding.lower().startswith("utf")
            console.print(picture(rows, width=console.width, unicode=unicode, headed=not each))
        click.echo("\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n")))
    if each:
        sys.stdout.flush()


def picture(rows: Sequence[EventRow], *, width: int, unicode: bool = True, headed: bool = True) -> RenderableType:
    """A row a fault, and below one that lasts what to do."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim", show_header=headed, width=width)
    table.add_column("SINCE (UTC)", no_wrap=True, min_width=11)
    table.add_column("UNTIL", no_wrap=True, min_width=5)
    table.add_column("LASTED", no_wrap=True, justify="right", min_width=7)
    table.add_column("NODE", no_wrap=True, max_width=20, overflow="ellipsis")
    table.add_column("WHAT", ratio=1, overflow="fold")
    for row in rows:
        shape, ascii_shape, style = _MARKS[row.health] if row.intent is None else _INTENT_MARK
        lasts = row.until is None
        what = Text(f"{shape if unicode else ascii_shape} ", style=style)
        what.append(row.text, style="default not bold")
        if lasts and row.do:
            what.append(f"\n{row.do}", style="dim default not bold")
        table.add_row(
            f"{row.since:%m-%d %H:%M}",
            Text("lasts", style=style) if row.until is None else f"{row.until:%H:%M}",
            seconds_text(row.lasted_seconds),
            Text(row.node or "this laptop", style="bold"),
            what,
            style=None if lasts else "dim",
        )
    return table
