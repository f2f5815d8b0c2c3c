"""The inventory: every node with its groups and merged variables. Frozen and pure."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.control.inventory.finding import Finding
from fleet.control.inventory.lint import every_variable, unused
from fleet.control.inventory.nearest import did_you_mean
from fleet.control.inventory.node import Group, Node
from fleet.control.inventory.precedence import Candidate, explained
from fleet.control.inventory.selector import Selection
from fleet.control.inventory.settings import setting_names
from fleet.control.inventory.structure import Structure, Written
from fleet.errors import UsageError
from fleet.traffic.keyring import KeyRing
from fleet.vocabulary.names import GroupName, NodeName

if TYPE_CHECKING:
    from fleet.vocabulary.contracts.sync import Facts


@dataclass(frozen=True)
class Inventory:
    """What an inventory file says. `structure` and `overrides` are what it was merged from.

    `client_keys` is keys.json beside it.
    """

    path: Path
    nodes: Mapping[NodeName, Node]
    groups: Mapping[GroupName, Group]
    warnings: tuple[Finding, ...]
    structure: Structure = field(repr=False)
    overrides: tuple[Written, ...] = field(default=(), repr=False)
    client_keys: KeyRing = field(default=KeyRing(), repr=False)

    def select(self, expression: str | None, *, facts: Mapping[NodeName, Facts] | None = None) -> tuple[Node, ...]:
        """The nodes that a selector means (fleet/control/inventory/selector.py), in file order. Raises UsageError."""
        return Selection(self.nodes, self.groups, facts or {}).select(expression)

    def node(self, name: str) -> Node:
        """The node of that name. Raises UsageError that names the nearest."""
        found = self.nodes.get(NodeName(name))
        if found is None:
            hint = did_you_mean(name, self.nodes) or "fleet inventory list shows every node"
            raise UsageError(f"no node is called {name!r}", hint=hint)
        return found

    def explain(self, node: str, variable: str) -> tuple[Candidate, ...]:
        """Every value that `variable` could have on `node`, the weakest first, the winner marked. Raises UsageError."""
        entry = self.structure.nodes[self.node(node).name]
        found = explained(self.structure, entry, variable, self.overrides)
        if not found:
            written = {*setting_names(), *(one.name for one in every_variable(self.structure))}
            hint = did_you_mean(variable, written - {variable}) or "a variable of another group, perhaps"
            raise UsageError(f"{node} has no variable {variable!r}", hint=hint)
        return found

    def unused(self, references: AbstractSet[str]) -> tuple[Finding, ...]:
        """Warnings about users' own variables that are not among `references` (what playbooks and templates name)."""
        return tuple(unused(self.structure, references))
