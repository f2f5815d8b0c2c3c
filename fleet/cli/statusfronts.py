"""Which fronts `fleet status` asks for all nodes."""

from __future__ import annotations

from fleet.control.actions.gateways import gateways
from fleet.control.actions.playbooks import playbook_of
from fleet.control.inventory import Inventory, Node, Project
from fleet.errors import UsageError


def fronts_to_ask(project: Project, inventory: Inventory, via: str | None, playbook: str) -> tuple[Node, ...]:
    """The fronts to ask, the wanted one alone. Raises UsageError for one that the playbook makes none."""
    name = None if via is None else inventory.node(via).name
    found = tuple(one.node for one in gateways(inventory, playbook_of(project, playbook)) if one.is_front)
    if name is None:
        return found
    wanted = tuple(node for node in found if node.name == name)
    if not wanted:
        names = ", ".join(node.name for node in found) or "none"
        raise UsageError(f"the playbook makes {via} no front", hint=f"fronts: {names}; --via direct asks every node")
    return wanted
