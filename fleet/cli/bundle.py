"""`fleet bundle`: everything that a deploy fetches, in one file."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from fleet.cli.context import narrate, overrides_of, print_json, project_of
from fleet.control.actions.bundle import make_bundle
from fleet.control.supply.cache import Cache
from fleet.vocabulary.units import bytes_text


@click.command()
@click.argument("playbook", default="site.yml")
@click.option("-o", "--output", required=True, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--on", metavar="SELECTOR", help="For these nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option("--weights", is_flag=True, help="The weights of the models, too.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def bundle(ctx: click.Context, playbook: str, output: Path, on: str | None, weights: bool, as_json: bool) -> None:
    """Write everything that a deploy fetches or builds into one file, for a laptop without a network.

    Environments, interpreters, fleet's own part and, with --weights, the models. Not in it: inventory, playbook,
    templates (they are the project's) and secrets. No node is contacted. fleet deploy --bundle FILE deploys it.
    """
    made = make_bundle(
        project_of(ctx),
        output,
        playbook=playbook,
        on=on,
        overrides=overrides_of(ctx),
        weights=weights,
        cache=Cache(),
        notify=narrate,
    )
    if as_json:
        print_json({"path": str(made.path), "size_bytes": made.size_bytes, **msgspec.to_builtins(made.index)})
        return
    index = made.index
    without = [one.name for one in index.models if not one.weights]
    counts = f"{len(index.envs)} envs, {len(index.pythons)} interpreters"
    counts += f", {len(index.archives)} archives" if index.archives else ""
    models = sum(one.weights for one in index.models)
    click.echo(f"{made.path}: {bytes_text(made.size_bytes)} ({counts}, the weights of {models} models)")
    if without:
        narrate(f"without the weights of {', '.join(without)}: --weights puts them in")
