"""`fleet init`: a project to begin with."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click

from fleet.errors import UsageError

_INVENTORY = """\
# yaml-language-server: $schema=../.fleet/inventory.schema.json
# The Macs of this fleet. `fleet inventory list` shows what fleet makes of this file; the guide is docs/inventory.md.
all:
  vars:
    ansible_user: admin               # whom fleet logs in as: an account that may use sudo
    gateway_key: file:secrets/gateway.key   # what clients show the front
    fleet_key: file:secrets/fleet.key       # what fronts and this laptop show the nodes
    model: qwen3-4b                   # models/qwen3-4b.json: see `fleet model lock`
  children:
    front:                            # the gateway that clients talk to
      hosts:
        front-1: {ansible_host: 192.0.2.10}
      vars:
        gateway_bind: 0.0.0.0
    mlx:                              # Macs that serve models
      hosts:
        mini-[1:2]:
      vars:
        gateway_bind: 0.0.0.0         # so that the front reaches their edge: TLS with a pinned key, and a key to show
"""
_IGNORE = ".fleet/\nsecrets/\n"


@click.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Start a project in FOLDER: an inventory to edit, and fresh keys in secrets/ (never committed)."""
    inventory = folder / "inventory" / "fleet.yml"
    if inventory.exists():
        raise UsageError(f"{inventory} is there already", hint="edit it, or name another folder")
    inventory.parent.mkdir(parents=True, exist_ok=True)
    inventory.write_text(_INVENTORY)
    (folder / "models").mkdir(exist_ok=True)
    _write_schema(folder)
    made = [inventory, *(_new_key(folder / "secrets" / f"{name}.key") for name in ("gateway", "fleet"))]
    hidden = folder / "secrets" / ".gitignore"  # holds in a repository that has a .gitignore of its own, too
    if not hidden.exists():
        hidden.write_text("*\n")
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text(_IGNORE)
        made.append(ignore)
    for path in made:
        click.echo(f"made {path}")
    begin = "" if folder.resolve() == Path.cwd() else f"  cd {folder}\n"
    click.echo(
        f"\nNext:\n{begin}"
        "  $EDITOR inventory/fleet.yml          name your Macs\n"
        "  fleet model lock hf:ORG/NAME@REV     name a model; its file goes to models/\n"
        "  fleet lint                           is all of it right?\n"
        "  fleet adopt --all                    pin the Macs' keys, make them ready\n"
        "  fleet plan                           what would change\n"
        "  fleet deploy"
    )


def _new_key(path: Path) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"fleet-{secrets.token_urlsafe(32)}\n")
    return path


def _write_schema(folder: Path) -> None:
    import json

    from fleet.control.inventory.schema import inventory_schema

    target = folder / ".fleet" / "inventory.schema.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(inventory_schema(), indent=1) + "\n")
