"""The JSON Schema (draft 2020-12) of an inventory, for editors. Made from the settings and the shape. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from fleet.control.inventory.settings import ANSIBLE_ALIASES, NodeSettings
from fleet.control.inventory.structure import ALL


def inventory_schema() -> dict[str, Any]:
    """The schema of a whole inventory file."""
    variables, parts = _variables()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fleet inventory",
        "description": "Nodes and groups in the shape of an Ansible inventory, with fleet's own variables typed.",
        "type": "object",
        "minProperties": 1,
        "properties": {str(ALL): {"$ref": "#/$defs/group"}},
        "propertyNames": {"not": {"enum": ["hosts", "children", "vars", "plugin"]}},
        "additionalProperties": {"$ref": "#/$defs/group"},
        "$defs": {
            "group": {
                "description": "A group: its nodes, the groups in it, and variables of all of them.",
                "type": ["object", "null"],
                "additionalProperties": False,
                "properties": {
                    "hosts": _named("Nodes by name; `mini-[1:4]` stands for four.", "variables"),
                    "children": _named("Groups in this group.", "group"),
                    "vars": {"$ref": "#/$defs/variables"},
                },
            },
            "variables": {
                "description": "fleet's own variables, and any of your own.",
                "type": ["object", "null"],
                "properties": variables,
                "additionalProperties": True,
            },
            **parts,
        },
    }


def _named(description: str, item: str) -> dict[str, Any]:
    return {
        "description": description,
        "type": ["object", "string", "null"],
        "additionalProperties": {"$ref": f"#/$defs/{item}"},
    }


def _variables() -> tuple[dict[str, Any], dict[str, Any]]:
    """The variables, and the structs that they refer to."""
    _, components = msgspec.json.schema_components([NodeSettings])
    settings: dict[str, Any] = dict(components["NodeSettings"]["properties"])
    tags = {"description": "Words to select the node by: --on @canary.", "type": ["array", "string"]}
    ports = {"anyOf": [settings["ssh_port"], {"type": "string", "pattern": "^[0-9]+$"}]}
    aliases = {
        alias: {
            "description": f"Ansible's name of {name}.",
            **(ports if name == "ssh_port" else _undescribed(settings[name])),
        }
        for alias, name in ANSIBLE_ALIASES.items()
    }
    parts = {name: schema for name, schema in components.items() if name != NodeSettings.__name__}
    return {**settings, **aliases, "tags": tags}, parts


def _undescribed(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "description"}
