"""Which nodes a command is about, and how their sync is asked: what history, drift and rollback share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from fleet.cli.context import link_of, selected
from fleet.control.actions.asking import Asking
from fleet.control.inventory import Inventory, Node
from fleet.control.inventory.project import Project
from fleet.control.rollout.conversation import SyncPart
from fleet.control.supply.nodepart import sync_zipapp
from fleet.errors import FleetError, UsageError
from fleet.vocabulary.clock import SystemClock


def named_nodes(project: Project, inventory: Inventory, names: tuple[str, ...], on: str | None) -> tuple[Node, ...]:
    """The nodes by name, else those that the selector means. Raises UsageError."""
    if names and on is not None:
        raise UsageError("either nodes by name or --on")
    nodes = tuple(inventory.node(name) for name in dict.fromkeys(names)) or selected(project, inventory, on)
    if not nodes:
        raise UsageError(f"no node fits {on!r}", hint="fleet inventory list shows the nodes")
    return nodes


@contextmanager
def asking_of(ctx: click.Context, project: Project) -> Iterator[Asking]:
    """How nodes are asked in this call; the link is closed at the end."""
    digest, content = sync_zipapp()
    link = link_of(ctx)
    try:
        yield Asking(link=link, base=project.root, sync=SyncPart(digest=digest, content=content), clock=SystemClock())
    finally:
        link.close()


def exit_code_of(errors: list[FleetError], *, asked: int) -> int:
    """0 all answered, 3 some, else the code of the first error."""
    if not errors:
        return 0
    return errors[0].exit_code if len(errors) == asked else 3


def harmless(text: str) -> str:
    """Without what could steer a terminal: nodes and their files have written it."""
    return "".join(one if one.isprintable() else "?" for one in text)
