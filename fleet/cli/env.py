"""`fleet env`: lock and build the Python environments of nodes."""

from __future__ import annotations

import hashlib

import click

from fleet.cli.context import narrate, print_json, project_of
from fleet.control.desired.supplies import EnvNeed
from fleet.control.supply.cache import Cache
from fleet.control.supply.envs import build_env
from fleet.control.supply.locks import write_lock
from fleet.errors import UsageError
from fleet.vocabulary.units import bytes_text


@click.group()
def env() -> None:
    """Lock and build Python environments for nodes.

    locks/NAME.in says what an env needs, locks/NAME.lock which versions with which hashes; commit both.
    """


@env.command()
@click.argument("name")
@click.option("--upgrade", is_flag=True, help="Take newer versions than the lock has.")
@click.pass_context
def lock(ctx: click.Context, name: str, upgrade: bool) -> None:
    """Write locks/NAME.lock from locks/NAME.in."""
    path = write_lock(project_of(ctx), name, upgrade=upgrade)
    pins = sum("==" in line for line in path.read_text().splitlines())
    click.echo(f"{path.parent.name}/{path.name}: {pins} packages")


@env.command()
@click.argument("name")
@click.option(
    "--platform", type=click.Choice(["macos-arm64", "this-machine"]), default="macos-arm64", show_default=True
)
@click.option("--python-version", default="3.12", show_default=True, metavar="X.Y")
@click.option("--os-version", metavar="VERSION", help="macOS of the nodes, for wheels that depend on it.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def build(
    ctx: click.Context, name: str, platform: str, python_version: str, os_version: str | None, as_json: bool
) -> None:
    """Build env NAME as a deploy would, and say its digest and size."""
    path = project_of(ctx).file("locks", f"{name}.lock")
    if path is None:
        raise UsageError(f"there is no locks/{name}.lock", hint=f"fleet env lock {name} writes it")
    need = EnvNeed(
        name=name,
        lock_path=path,
        lock_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        python_version=python_version,
        platform=platform,
        os_version=os_version,
    )
    packed = build_env(need, cache=Cache(), notify=narrate)
    if as_json:
        print_json({"name": name, "digest": packed.digest, "size_bytes": packed.archive.size})
    else:
        click.echo(f"{name}: {packed.digest} ({bytes_text(packed.archive.size)})")
