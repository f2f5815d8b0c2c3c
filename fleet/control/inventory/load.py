"""Reads an inventory file into an Inventory. The one way in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from fleet.control.inventory.checks import check_nodes
from fleet.control.inventory.clientkeys import load_client_keys
from fleet.control.inventory.finding import Finding
from fleet.control.inventory.inventory import Inventory
from fleet.control.inventory.lint import suspicious
from fleet.control.inventory.node import Group, Node
from fleet.control.inventory.overrides import parse_overrides
from fleet.control.inventory.parse import parse_structure
from fleet.control.inventory.precedence import Candidate, Candidates, of_groups, of_node, of_overrides, together, winner
from fleet.control.inventory.project import Project
from fleet.control.inventory.settings import ANSIBLE_ALIASES, NodeSettings, setting_names
from fleet.control.inventory.structure import NodeEntry, Structure, Written
from fleet.control.inventory.typed import check_types
from fleet.control.inventory.yamlsource import Positioned, load_yaml, shown_path
from fleet.vocabulary.names import GroupName


def load_inventory(project: Project, *, overrides: Sequence[str] = ()) -> Inventory:
    """The inventory of `project` with `--set VAR=VALUE` on top. Raises InventoryError, UsageError."""
    source = load_yaml(project.inventory)
    beside = tuple(_beside(project.inventory))
    found = build_inventory(source, path=project.inventory, overrides=parse_overrides(overrides), warnings=beside)
    return replace(found, client_keys=load_client_keys(project.root))


def build_inventory(
    source: Positioned, *, path: Path, overrides: tuple[Written, ...] = (), warnings: tuple[Finding, ...] = ()
) -> Inventory:
    """The inventory that `source` says. Pure. Raises InventoryError."""
    structure = parse_structure(source)
    check_types(structure)
    merger = _Merger(structure, of_overrides(overrides))
    nodes = {name: merger.node(entry) for name, entry in structure.nodes.items()}
    found = check_nodes(nodes.values(), merger.place)
    return Inventory(
        path=path,
        nodes=nodes,
        groups=_groups(structure),
        warnings=(*warnings, *suspicious(structure, overrides), *found),
        structure=structure,
        overrides=overrides,
    )


_Merged = tuple[dict[str, Candidate], dict[str, object], NodeSettings, dict[str, Written]]


class _Merger:
    """Merges once for all nodes that are in the same groups and have the same variables: a range is one merge."""

    def __init__(self, structure: Structure, overrides: Candidates) -> None:
        self._structure = structure
        self._overrides = overrides
        self._settings = frozenset(setting_names())
        self._merged: dict[object, _Merged] = {}
        self._groups: dict[tuple[GroupName, ...], tuple[tuple[GroupName, ...], Candidates]] = {}

    def node(self, entry: NodeEntry) -> Node:
        groups, _ = self._of_groups(entry)
        _, variables, settings, written = self._of(entry)
        return Node(entry.name, groups, variables, settings, entry.place, written)

    def place(self, node: Node, variable: str) -> str:
        winners, *_ = self._of(self._structure.nodes[node.name])
        return winners[variable].place if variable in winners else node.place

    def _of(self, entry: NodeEntry) -> _Merged:
        key = (entry.parents, *map(id, entry.variables))
        if key not in self._merged:
            _, layer = self._of_groups(entry)
            found = together(layer, of_node(entry), self._overrides)
            winners = {name: winner(name, candidates, node=entry.name) for name, candidates in found.items()}
            values = {name: candidate.value for name, candidate in winners.items()}
            own = {name: value for name, value in values.items() if name in self._settings}
            settings = msgspec.convert(own, NodeSettings)
            written = {name: one.written for name, one in winners.items() if name in own and one.written}
            self._merged[key] = winners, _variables(values, settings), settings, written
        return self._merged[key]

    def _of_groups(self, entry: NodeEntry) -> tuple[tuple[GroupName, ...], Candidates]:
        if entry.parents not in self._groups:
            groups = self._structure.ancestors(entry.parents)
            self._groups[entry.parents] = tuple(group.name for group in groups), of_groups(groups)
        return self._groups[entry.parents]


def _variables(values: dict[str, object], settings: NodeSettings) -> dict[str, object]:
    """What templates see: fleet's own with their defaults, users' own, and Ansible's spellings of fleet's."""
    typed = {name: value for name, value in msgspec.to_builtins(settings).items() if value is not None}
    aliases = {alias: typed[name] for alias, name in ANSIBLE_ALIASES.items() if name in typed}
    return {**typed, **values, **typed, **aliases}


def _groups(structure: Structure) -> dict[GroupName, Group]:
    groups = {}
    for name, entry in structure.groups.items():
        members = structure.members(name)
        groups[name] = Group(
            name=name,
            nodes=tuple(node for node in structure.nodes if node in members),
            parents=entry.parents,
            children=entry.children,
            depth=entry.depth,
            place=entry.place,
        )
    return groups


def _beside(path: Path) -> Iterator[Finding]:
    for folder in ("group_vars", "host_vars"):
        if (path.parent / folder).is_dir():
            place = shown_path(path.parent / folder)
            yield Finding(place, "warning", f"fleet does not read {folder}/", "write the variables into the inventory")
