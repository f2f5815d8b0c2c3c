"""YAML of the Ansible shape -> nodes, groups, variables; selectors; where a value comes from.

What it offers is imported when it is asked for: finding the project's folder takes no YAML.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleet.control.inventory.finding import Finding
    from fleet.control.inventory.inventory import Inventory
    from fleet.control.inventory.load import load_inventory
    from fleet.control.inventory.node import Group, Node
    from fleet.control.inventory.project import Project, find_project

__all__ = ["Finding", "Group", "Inventory", "Node", "Project", "find_project", "load_inventory"]

_ROOMS = {
    "Finding": "finding",
    "Group": "node",
    "Inventory": "inventory",
    "Node": "node",
    "Project": "project",
    "find_project": "project",
    "load_inventory": "load",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(name)
    return getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)
