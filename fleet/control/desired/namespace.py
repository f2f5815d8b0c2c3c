"""What templates and task scalars may see of a node: a closed set of read-only names. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.control.inventory import Inventory, Node
from fleet.control.playbook.facts import fact_values
from fleet.control.playbook.predicates import Scope
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.layout import NodeLayout


@dataclass(frozen=True, kw_only=True)
class NodeView:
    """A node as templates see it. Its text is its name."""

    name: str
    address: str
    groups: tuple[str, ...]
    vars: Mapping[str, object] = field(repr=False)

    def __str__(self) -> str:
        return self.name


def view(node: Node) -> NodeView:
    """The node as templates see it."""
    return NodeView(name=node.name, address=node.address, groups=node.groups, vars=node.variables)


def group_views(inventory: Inventory) -> Mapping[str, tuple[NodeView, ...]]:
    """Every group's nodes as templates see them. The same for all nodes: made once."""
    views = {name: view(node) for name, node in inventory.nodes.items()}
    return {name: tuple(views[member] for member in group.nodes) for name, group in inventory.groups.items()}


def namespace(
    node: Node, facts: Facts | None, layout: NodeLayout, *, groups: Mapping[str, tuple[NodeView, ...]]
) -> dict[str, object]:
    """The names: node, vars, facts (those that are known), groups (of node views), layout."""
    return {
        "node": view(node),
        "vars": node.variables,
        "facts": fact_values(facts, memory_gb=node.settings.memory_gb),
        "groups": groups,
        "layout": layout,
    }


def scope(node: Node, inventory: Inventory, facts: Facts | None) -> Scope:
    """What `when` is decided over."""
    return Scope(
        node=node.name,
        groups=node.groups,
        all_groups=tuple(inventory.groups),
        facts=fact_values(facts, memory_gb=node.settings.memory_gb),
        variables=node.variables,
    )
