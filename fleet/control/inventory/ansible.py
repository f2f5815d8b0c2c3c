"""The inventory as `ansible-inventory --list` prints it, for scripts that read Ansible's dynamic inventories. Pure.

What the file says, in Ansible's own spelling: fleet's defaults and `--set` are not in it.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from fleet.control.inventory.structure import ALL, Structure


def ansible_list(structure: Structure) -> dict[str, Any]:
    """The document, equal to Ansible's after a sort of the keys."""
    listed: dict[str, Any] = {}
    for name, group in structure.groups.items():
        body: dict[str, Any] = {}
        if group.children:
            body["children"] = list(group.children)
        if group.nodes and name != ALL:
            body["hosts"] = list(group.nodes)
        if body:
            listed[name] = body
    return {"_meta": {"hostvars": _hostvars(structure), "profile": "inventory_legacy"}, **listed}


def _hostvars(structure: Structure) -> dict[str, dict[str, Any]]:
    found = {}
    for name, node in structure.nodes.items():
        merged: dict[str, Any] = {}
        for group in structure.ancestors(node.parents):
            merged.update((variable.name, variable.value) for variable in group.variables)
        merged.update((variable.name, variable.value) for variable in node.variables)
        if merged:
            found[str(name)] = {key: plain(value) for key, value in merged.items()}
    return found


def plain(value: Any) -> Any:
    """`value` as JSON has it: dates as ISO 8601, keys as text."""
    match value:
        case dict():
            return {_key(key): plain(inner) for key, inner in value.items()}
        case list():
            return [plain(inner) for inner in value]
        case date():
            return value.isoformat()
        case _:
            return value


def _key(key: Any) -> Any:
    return key.isoformat() if isinstance(key, date) else key
