"""Where a verb works: the project of this call, its inventory, and the nodes that were named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import click

from fleet.cli.context import overrides_of, project_of, selected
from fleet.control.inventory import Inventory, Node, load_inventory
from fleet.control.inventory.project import Project
from fleet.errors import UsageError
from fleet.vocabulary.names import NodeName


class OfNode(Protocol):
    """An answer of one node."""

    @property
    def node(self) -> NodeName:
        """Whose it is."""
        ...


T = TypeVar("T", bound=OfNode)


@dataclass(frozen=True)
class Place:
    """Where a verb works: the project, its inventory, and the nodes that were named."""

    project: Project
    inventory: Inventory
    nodes: tuple[Node, ...]

    @classmethod
    def of(cls, ctx: click.Context, names: tuple[str, ...], on: str | None) -> Place:
        """Raises UsageError."""
        if names and on is not None:
            raise UsageError("either nodes by name or --on")
        project = project_of(ctx)
        inventory = load_inventory(project, overrides=overrides_of(ctx))
        named = tuple(inventory.node(name) for name in dict.fromkeys(names))
        nodes = named or selected(project, inventory, on)
        if not nodes:
            raise UsageError(f"no node fits {on!r}", hint="fleet inventory list shows the nodes")
        return cls(project, inventory, nodes)

    def in_order(self, answers: Iterable[T]) -> list[T]:
        """Answers in the order of the nodes."""
        found = {one.node: one for one in answers}
        return [found[node.name] for node in self.nodes]
