"""`fleet model`: lock models by the hash of every file."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from fleet.cli.context import narrate, print_json, project_of
from fleet.control.supply.cache import Cache
from fleet.control.supply.models import lock_folder, lock_hub, manifest_text
from fleet.errors import UsageError
from fleet.vocabulary.units import bytes_text


@click.group()
def model() -> None:
    """Lock models: models/NAME.json holds the hash of every file."""


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
