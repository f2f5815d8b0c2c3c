"""`fleet gc`: housekeeping on nodes."""

from __future__ import annotations

from typing import Any

import click

from fleet.cli.context import narrate, print_json
from fleet.cli.nodewords import asking_of, exit_code_of, harmless
from fleet.cli.place import Place
from fleet.control.actions.gc import Swept, collect
from fleet.vocabulary.contracts.codec import plain
from fleet.vocabulary.contracts.questions import Collect
from fleet.vocabulary.units import bytes_text


@click.command()
@click.argument("names", nargs=-1, metavar="[NODE]...")
@click.option("--on", metavar="SELECTOR", help="These nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def gc(ctx: click.Context, names: tuple[str, ...], on: str | None, dry_run: bool, as_json: bool) -> None:
    """Remove what no kept release of a node needs: old releases, envs, models, files, runs, unused blobs.

    Every deploy does the same when it has committed. The live release and the one before it always stay;
    keep_releases, keep_days and keep_gb of the inventory, as they were last deployed, say what else does.

    Exit code: 0 done; 1 something could not be removed; 3 some nodes failed; 4 none was reached.
    """
    place = Place.of(ctx, names, on)
    swept: list[Swept] = []
    with asking_of(ctx, place.project) as asking:
        for one in collect(place.nodes, asking, Collect(dry_run=dry_run)):
            swept.append(one)
            if one.error is not None:
                narrate(one.error.text)
            elif not as_json:
                show_swept(one, dry_run=dry_run)
    if as_json:
        print_json([swept_document(one) for one in swept])
    ctx.exit(exit_code(swept))


def show_swept(one: Swept, *, dry_run: bool) -> None:
    """How it went on one node, for a person."""
    verb = "would free" if dry_run else "freed"
    count, kept = len(one.collected.dropped), len(one.collected.kept)
    free = f", {bytes_text(one.collected.free_bytes)} free on disk" if one.collected.free_bytes is not None else ""
    places = "1 place" if count == 1 else f"{count} places"
    what = f"{verb} {bytes_text(one.freed_bytes)} in {places}" if count else "nothing to remove"
    click.echo(f"{one.node}: {what}; {kept} release{'' if kept == 1 else 's'} kept{free}")
    for dropped in one.collected.dropped:
        click.secho(harmless(f"  {bytes_text(dropped.size_bytes):>10}  {dropped.path}  ({dropped.why})"), dim=True)
    for problem in one.collected.problems:
        narrate(harmless(f"{one.node}: could not remove {problem}"))


def swept_document(one: Swept) -> dict[str, Any]:
    """The same for programs."""
    if one.error is not None:
        return {"node": one.node, "error": one.error.text}
    return {"node": one.node, "freed_bytes": one.freed_bytes, **plain(one.collected)}


def exit_code(swept: list[Swept]) -> int:
    """Done, something left, some nodes failed, or none was reached."""
    failed = exit_code_of([one.error for one in swept if one.error is not None], asked=len(swept))
    return failed or int(any(one.collected.problems for one in swept))
