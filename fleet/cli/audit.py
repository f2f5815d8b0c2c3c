"""`fleet audit`: what was done to which node, by whom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from fleet.cli.context import narrate, print_json
from fleet.cli.nodewords import asking_of, exit_code_of, harmless
from fleet.cli.place import Place
from fleet.cli.span import Span
from fleet.control.actions.audit import LAPTOP, Entry, Trail, laptop_trail, merged, node_trails
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.codec import plain
from fleet.vocabulary.units import seconds_text


@click.command()
@click.argument("names", nargs=-1, metavar="[NODE]...")
@click.option("--on", metavar="SELECTOR", help="These nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option("--since", type=Span(), help="Only what was done in this time: 2h, 7d.")
@click.option("--offline", is_flag=True, help="Only what this laptop wrote down; no node is asked.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def audit(
    ctx: click.Context, names: tuple[str, ...], on: str | None, since: float | None, offline: bool, as_json: bool
) -> None:
    """Show who did what to the nodes: deploys, rollbacks, thefts of a lease, adoptions, drains.

    Every node writes its own lines, and so does this laptop; each line's hash covers the one before it, so a line that
    was changed or taken out is told.

    Exit code: 0 whole; 1 a chain is broken; 3 some nodes failed; 4 none was reached.
    """
    place = Place.of(ctx, names, on)
    nodes, clock = place.nodes, SystemClock()
    trails = [laptop_trail(place.project)]
    if not offline:
        with asking_of(ctx, place.project) as asking:
            trails += node_trails(nodes, asking)
    after = None if since is None else clock.now().timestamp() - since
    entries = merged(trails, nodes=[node.name for node in nodes], since_seconds=after)
    if as_json:
        print_json({"entries": [_document(one) for one in entries], "places": [_place(one) for one in trails]})
    else:
        for one in entries:
            click.echo(harmless(_row(one)))
    for trail in trails:
        if trail.error is not None:
            narrate(trail.error.text)
        elif trail.broken is not None:
            narrate(f"the audit of {_whose(trail)} is not whole: {trail.broken}")
    ctx.exit(_exit_code(trails, asked=0 if offline else len(nodes)))


def _row(one: Entry) -> str:
    line = one.line
    at = f"{datetime.fromtimestamp(line.at_seconds, UTC):%Y-%m-%d %H:%M:%S}"
    words = [at, one.node, line.action, line.outcome, line.operator or "-"]
    if line.before != line.after:
        words.append(f"{(line.before or 'nothing')[:12]} -> {(line.after or 'nothing')[:12]}")
    if line.git_commit:
        words.append(f"commit {line.git_commit[:12]}{'+' if line.git_dirty else ''}")
    if line.seconds is not None:
        words.append(f"in {seconds_text(line.seconds)}")
    if line.key_fingerprint:
        words.append(line.key_fingerprint)
    if line.text:
        words.append(line.text)
    if one.places == (LAPTOP,):
        words.append("(this laptop says)")
    return "  ".join(words)


def _document(one: Entry) -> dict[str, Any]:
    return {**plain(one.line), "node": one.node, "places": list(one.places)}


def _place(trail: Trail) -> dict[str, Any]:
    error = trail.error.text if trail.error is not None else None
    return {"place": trail.place, "lines": len(trail.lines), "broken": trail.broken, "error": error}


def _whose(trail: Trail) -> str:
    return "this laptop" if trail.place == LAPTOP else trail.place


def _exit_code(trails: Sequence[Trail], *, asked: int) -> int:
    failed = exit_code_of([trail.error for trail in trails if trail.error is not None], asked=asked)
    return failed or int(any(trail.broken is not None for trail in trails))
