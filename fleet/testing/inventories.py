"""Inventories from text."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from fleet.control.inventory.inventory import Inventory
from fleet.control.inventory.load import build_inventory
from fleet.control.inventory.overrides import parse_overrides
from fleet.control.inventory.parse import parse_structure
from fleet.control.inventory.structure import Structure
from fleet.control.inventory.yamlsource import parse_yaml


def parsed(text: str) -> Structure:
    """The groups and nodes of `text`."""
    return parse_structure(parse_yaml(dedent(text), name="fleet.yml"))


def inventory_of(text: str, *overrides: str) -> Inventory:
    """The inventory that `text` says, called fleet.yml."""
    source = parse_yaml(dedent(text), name="fleet.yml")
    return build_inventory(source, path=Path("fleet.yml"), overrides=parse_overrides(overrides))
