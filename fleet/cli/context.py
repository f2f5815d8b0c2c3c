"""What verbs share: the project of this call, and JSON on stdout. stdout is data, stderr is narration."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from fleet.cli.lines import for_stderr
from fleet.control.inventory.project import Project, find_project

if TYPE_CHECKING:
    from fleet.control.inventory import Inventory, Node
    from fleet.control.link.protocol import Link


def project_of(ctx: click.Context) -> Project:
    """The project that this call is about. Raises UsageError."""
    return find_project(ctx.find_root().obj["inventory"])


def overrides_of(ctx: click.Context) -> tuple[str, ...]:
    """The `--set VAR=VALUE` of this call."""
    overrides: tuple[str, ...] = ctx.find_root().obj["overrides"]
    return overrides


def selected(project: Project, inventory: Inventory, selector: str | None) -> tuple[Node, ...]:
    """The nodes that `--on` means; what nodes said of themselves is read only for that. Raises UsageError."""
    if selector is None:
        return inventory.select(None)
    from fleet.control.actions.facts import FactsStore

    return inventory.select(selector, facts=FactsStore(project).load(inventory.nodes))


def print_json(data: Any) -> None:
    """One JSON document on stdout: indented for people, keys in their own order."""
    json.dump(data, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def narrate(text: str) -> None:
    """A few words for the person, on stderr."""
    click.echo(for_stderr(text), err=True)


def link_of(ctx: click.Context) -> Link:
    """The link of this call: a jump host that is itself a node of the inventory is held to its pin."""
    from fleet.control.inventory import load_inventory

    project = project_of(ctx)
    return link_to(project, load_inventory(project, overrides=overrides_of(ctx)))


def link_to(project: Project, inventory: Inventory) -> Link:
    """The link to the nodes of an inventory, each by the carrier that it names."""
    from fleet.control.link.carriers import Carriers
    from fleet.control.link.protocol import target_of

    return Carriers(
        nodes=[target_of(node, base=project.root) for node in inventory.nodes.values()],
        keys=project.state_dir / "keys",
        tell=lambda node, text: narrate(f"{node}: {text}"),
    )
