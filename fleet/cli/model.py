"""`fleet model`: lock models by the hash of every file; see where they are, whether they fit; bring and move them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from fleet.cli.context import narrate, print_json, project_of
from fleet.cli.gc import exit_code, show_swept, swept_document
from fleet.cli.modelmove import move
from fleet.cli.modelview import fit_lines, listing, listing_document
from fleet.cli.nodewords import asking_of, exit_code_of
from fleet.cli.place import Place
from fleet.cli.tenths import Tenths
from fleet.control.actions.gc import Swept, collect
from fleet.control.actions.modellist import list_models
from fleet.control.actions.modelnames import model_book
from fleet.control.actions.modelpull import Pulled, Puller
from fleet.control.desired.modelfit import Terms, would_fit
from fleet.control.supply.cache import Cache
from fleet.control.supply.models import lock_folder, lock_hub, manifest_text
from fleet.errors import FleetError, UsageError
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.questions import Collect
from fleet.vocabulary.units import bytes_text, parse_bytes

_ON = click.option("--on", metavar="SELECTOR", help="These nodes: names, groups, @tags, mem_gb>=64, !not.")
_PLAYBOOK = click.option(
    "--playbook", default="site.yml", show_default=True, metavar="PLAYBOOK", help="What says which node serves what."
)


@click.group()
def model() -> None:
    """Lock models (models/NAME.json holds the hash of every file); see where they are; bring them to nodes."""


@model.command()
@click.argument("source")
@click.option(
    "--name", metavar="NAME", help="What the model is called in playbooks; the folder's or repository's name."
)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def lock(ctx: click.Context, source: str, name: str | None, as_json: bool) -> None:
    """Write models/NAME.json for SOURCE: file:DIR or hf:org/name@rev."""
    project, cache = project_of(ctx), Cache()
    kind, _, place = source.partition(":")
    if kind == "file" and place:
        locked = lock_folder(Path(place), name=name, cache=cache, notify=narrate)
    elif kind == "hf" and place:
        locked = lock_hub(place, name=name, cache=cache, notify=narrate)
    else:
        raise UsageError(f"{source}: not a source of models", hint="file:DIR or hf:org/name@rev")
    manifest = locked.manifest
    path = project.root / "models" / f"{manifest.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(manifest_text(manifest))
    if locked.shape.reason:
        narrate(f"memory per token is not known: {locked.shape.reason}; a sidecar of it must state `kv_reserve`")
    if as_json:
        print_json({**msgspec.to_builtins(manifest), "digest": manifest.digest})
    else:
        click.echo(f"models/{path.name}: {len(manifest.files)} files, {bytes_text(manifest.weights_bytes)} of weights")


@model.command(name="ls")
@click.argument("names", nargs=-1, metavar="[NODE]...")
@_ON
@_PLAYBOOK
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def ls(ctx: click.Context, names: tuple[str, ...], on: str | None, playbook: str, as_json: bool) -> None:
    """Show which weights are on which node, how large, who uses them, and when they were live last."""
    place = Place.of(ctx, names, on)
    known = model_book(place.project, place.inventory, playbook).names()
    with asking_of(ctx, place.project) as asking:
        answers = place.in_order(list_models(place.nodes, asking))
    if as_json:
        print_json(listing_document(answers, known))
    else:
        for line in listing(answers, known, now_seconds=SystemClock().now().timestamp()):
            click.echo(line)
        for one in answers:
            if one.error is None and not one.models.models:
                narrate(f"{one.node}: no weights")
    ctx.exit(_told([one.error for one in answers], as_json=as_json))


@model.command()
@click.argument("name", metavar="MODEL")
@click.argument("names", nargs=-1, metavar="[NODE]...")
@_ON
@_PLAYBOOK
@click.option("--context", "context_tokens", type=click.IntRange(1), metavar="TOKENS", help="Else the model's own.")
@click.option("--concurrency", type=click.IntRange(1), default=1, show_default=True, help="Conversations at once.")
@click.option("--kv-reserve", metavar="SIZE", help="In the place of these two: 8GB, 512MiB.")
@click.option("--why", is_flag=True, help="Show the arithmetic also where it fits.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def fit(
    ctx: click.Context,
    name: str,
    names: tuple[str, ...],
    on: str | None,
    playbook: str,
    context_tokens: int | None,
    concurrency: int,
    kv_reserve: str | None,
    why: bool,
    as_json: bool,
) -> None:
    """Say whether MODEL fits the nodes' memory, beside what the playbook serves there already.

    Weights, key-value reserve and overhead of every sidecar are held against what the GPU may wire. No node is
    contacted: their memory is known from the last time, else from memory_gb of the inventory.

    Exit code: 0 it fits everywhere; 1 nowhere, or it cannot be known; 3 on some nodes.
    """
    place = Place.of(ctx, names, on)
    book = model_book(place.project, place.inventory, playbook)
    terms = Terms(
        context_tokens=context_tokens,
        concurrency=concurrency,
        kv_reserve_bytes=_size(kv_reserve) if kv_reserve else None,
    )
    answers = [
        would_fit(
            book.books[node.name],
            book.rosters[node.name],
            name,
            book.manifest(name, node.name),
            book.manifests[node.name],
            terms,
        )
        for node in place.nodes
        if node.name in book.books
    ]
    if not answers:
        raise UsageError(f"playbook {playbook} names none of these nodes")
    if as_json:
        print_json([msgspec.to_builtins(one) for one in answers])
    else:
        for line in fit_lines(answers, arithmetic=why):
            click.echo(line)
    fitting = sum(one.fits is True for one in answers)
    ctx.exit(0 if fitting == len(answers) else 3 if fitting else 1)


@model.command()
@click.argument("name", metavar="MODEL")
@click.argument("names", nargs=-1, metavar="[NODE]...")
@_ON
@_PLAYBOOK
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def pull(ctx: click.Context, name: str, names: tuple[str, ...], on: str | None, playbook: str, as_json: bool) -> None:
    """Bring the weights of MODEL to nodes ahead of a deploy; without names, to those that the playbook gives it to.

    They get the place that a deploy would give them, so the deploy then sends nothing. No service is touched, and
    housekeeping spares them for a week. What was cut goes on where it stopped.
    """
    place = Place.of(ctx, names, on)
    book = model_book(place.project, place.inventory, playbook)
    wanting = book.asking_for(name)
    nodes = place.nodes if names or on is not None else tuple(node for node in place.nodes if node.name in wanting)
    if not nodes:
        raise UsageError(f"playbook {playbook} gives {name!r} to no node", hint="name the nodes, or --on")
    manifests = {node.name: book.manifest(name, node.name) for node in nodes}
    steps = Tenths(narrate)
    with asking_of(ctx, place.project) as asking:
        puller = Puller(project=place.project, asking=asking, cache=Cache(), notify=narrate, progress=steps.tell)
        pulled = []
        for one in puller.pull(name, nodes, manifests):
            pulled.append(one)
            if one.error is None and not as_json:
                what = f"{bytes_text(one.sent_bytes)} sent" if one.sent_bytes else "was there"
                what += f" ({one.peers})" if one.peers else ""
                click.echo(f"{one.node}: {name} {what}, spared for {one.kept_days:g} days")
    if as_json:
        print_json([_pulled(one) for one in pulled])
    ctx.exit(_told([one.error for one in pulled], as_json=as_json))


@model.command(name="gc")
@click.argument("names", nargs=-1, metavar="[NODE]...")
@_ON
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--pulled", is_flag=True, help="Also weights that were pulled and not deployed since.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def gc(ctx: click.Context, names: tuple[str, ...], on: str | None, dry_run: bool, pulled: bool, as_json: bool) -> None:
    """Remove weights that no release on a node refers to. fleet gc removes old releases, and all that was theirs."""
    place = Place.of(ctx, names, on)
    wish = Collect(dry_run=dry_run, models_only=True, pulled_too=pulled)
    swept: list[Swept] = []
    with asking_of(ctx, place.project) as asking:
        for one in collect(place.nodes, asking, wish):
            swept.append(one)
            if one.error is not None:
                narrate(one.error.text)
            elif not as_json:
                show_swept(one, dry_run=dry_run)
    if as_json:
        print_json([swept_document(one) for one in swept])
    ctx.exit(exit_code(swept))


model.add_command(move)


def _told(errors: Sequence[FleetError | None], *, as_json: bool) -> int:
    """Tell the errors; the exit code."""
    bad = [error for error in errors if error is not None]
    for error in () if as_json else bad:
        narrate(error.text)
    return exit_code_of(bad, asked=len(errors))


def _pulled(one: Pulled) -> dict[str, object]:
    if one.error is not None:
        return {"node": one.node, "error": one.error.text}
    return {
        "node": one.node,
        "sent_bytes": one.sent_bytes,
        "from_nodes": one.peers,
        "path": one.path,
        "kept_days": one.kept_days,
    }


def _size(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise UsageError(f"--kv-reserve {text}: {error}") from None
