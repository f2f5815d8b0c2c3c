"""YAML of the Ansible shape -> Structure. The first thing that does not fit is an InventoryError with its place."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from fleet.control.inventory.nearest import did_you_mean
from fleet.control.inventory.ranges import MAX_NODES, NAME, BadRange, expand, is_range
from fleet.control.inventory.spot import Spot
from fleet.control.inventory.structure import ALL, UNGROUPED, GroupEntry, NodeEntry, Structure, Written
from fleet.control.inventory.wording import kind_of
from fleet.control.inventory.yamlsource import KeyPath, Positioned
from fleet.errors import InventoryError
from fleet.vocabulary.names import GroupName, NodeName

SECTIONS = ("hosts", "children", "vars")

_PRIORITY = "ansible_group_priority"


def parse_structure(source: Positioned) -> Structure:
    """The groups and nodes of an inventory. Raises InventoryError."""
    draft = _Draft(source)
    root = source.value
    if not isinstance(root, dict):
        draft.fail((), f"found {kind_of(root)} where groups are expected", "begin with `all:` and put groups under it")
    if not root:
        draft.fail((), "there is no group in it", "begin with `all:` and put groups under it")
    if "plugin" in root:
        draft.fail(
            ("plugin",), "this configures a plugin of Ansible", "fleet reads plain inventories: groups and nodes"
        )
    for name in root:
        if name in SECTIONS:
            draft.fail((name,), f"`{name}:` stands outside any group", "begin with `all:` and indent this under it")
        draft.group((name,))
    return draft.finish()


@dataclass
class _GroupDraft:
    place: str
    parents: list[GroupName] = field(default_factory=list)
    children: list[GroupName] = field(default_factory=list)
    nodes: dict[NodeName, None] = field(default_factory=dict)
    variables: list[Written] = field(default_factory=list)
    priority: int = 1


@dataclass
class _NodeDraft:
    place: str
    parents: list[GroupName] = field(default_factory=list)
    variables: list[Written] = field(default_factory=list)


class _Draft:
    """What was read so far."""

    def __init__(self, source: Positioned) -> None:
        self._source = source
        start = source.place()
        self._groups = {
            ALL: _GroupDraft(start, children=[UNGROUPED]),
            UNGROUPED: _GroupDraft(start, parents=[ALL]),
        }
        self._nodes: dict[NodeName, _NodeDraft] = {}

    def fail(self, path: KeyPath, title: str, hint: str, *, detail: str = "") -> NoReturn:
        where = ".".join(str(step) for step in path)
        raise InventoryError(
            f"{where}: {title}" if where else title, place=self._source.key_place(path), detail=detail, hint=hint
        )

    def group(self, path: KeyPath, parent: GroupName | None = None) -> None:
        name, body = self._name(path, "group"), self._at(path)
        group = GroupName(name)
        draft = self._groups.setdefault(group, _GroupDraft(self._source.key_place(path)))
        if parent is not None and group not in self._groups[parent].children:
            self._groups[parent].children.append(group)
            draft.parents.append(parent)
        if body is None:
            return
        if not isinstance(body, dict):
            self.fail(path, f"found {kind_of(body)} where a group is expected", "a group holds hosts, children or vars")
        for key in body:
            here = (*path, key)
            match key:
                case "hosts":
                    self._hosts(here, group)
                case "vars":
                    self._variables_of_group(here, draft)
                case "children":
                    for child in self._names(here):
                        self.group((*here, child), group)
                case _:
                    self._unknown_section(path, key)

    def _unknown_section(self, path: KeyPath, key: Any) -> NoReturn:
        near = did_you_mean(str(key), SECTIONS)
        body = self._at((*path, key))
        if isinstance(body, dict) and body.keys() & {*SECTIONS}:
            near = near or f"a group within a group goes under `children:` of {path[-1]}"
        hint = near or f"variables of all its nodes go under `vars:` of {path[-1]}"
        self.fail((*path, key), "unknown key; a group holds hosts, children and vars", hint)

    def _hosts(self, path: KeyPath, group: GroupName) -> None:
        ranged: dict[str, str] = {}
        for key in self._names(path):
            here = (*path, key)
            variables = tuple(self._variables(here, explicit=not is_range(str(key))))
            for name in self._expanded(here, key):
                if is_range(str(key)) and name in ranged:
                    detail = f"by {ranged[name]} and by {key}" if ranged[name] != key else f"by {key} alone"
                    self.fail(here, f"the node {name} is named twice", "let each range name other nodes", detail=detail)
                if is_range(str(key)):
                    ranged[name] = str(key)
                self._node(here, NodeName(name), group, variables)

    def _node(self, path: KeyPath, name: NodeName, group: GroupName, variables: tuple[Written, ...]) -> None:
        draft = self._nodes.setdefault(name, _NodeDraft(self._source.key_place(path)))
        if len(self._nodes) > MAX_NODES:
            self.fail(path, f"more than {MAX_NODES:,} nodes", "fleet takes no more in one inventory")
        if group not in draft.parents:
            draft.parents.append(group)
        self._groups[group].nodes[name] = None
        draft.variables += variables

    def _expanded(self, path: KeyPath, key: Any) -> tuple[str, ...]:
        if not isinstance(key, str):
            hint = f'put it in quotes: "{self._source.key_raw(path)}"'
            self.fail(path, f"found {kind_of(key)} where a node's name is expected", hint)
        if ":" in key and not is_range(key):
            self.fail(path, "a node's name holds no colon", "the port goes into ssh_port (or ansible_port)")
        try:
            names = expand(key)
        except BadRange as problem:
            self.fail(path, f"bad range: {problem}", "like mini-[1:4], mini-[01:12], rack-[a:f], mini-[1:9:2]")
        bad = next((name for name in names if not NAME.fullmatch(name)), None)
        if bad is not None:
            self.fail(path, f"{bad!r} cannot name a node", "letters, digits, `-`, `_` and `.`, ends in none of `-.`")
        return names

    def _variables_of_group(self, path: KeyPath, draft: _GroupDraft) -> None:
        for variable in self._variables(path):
            if variable.name != _PRIORITY:
                draft.variables.append(variable)
            elif re.fullmatch(r"\d{1,9}", str(variable.value)):
                draft.priority = int(str(variable.value))
            else:
                self.fail((*path, _PRIORITY), f"found {kind_of(variable.value)} where a number is expected", "like 10")

    def _variables(self, path: KeyPath, *, explicit: bool = True) -> Iterator[Written]:
        body = self._at(path)
        if body is None:
            return
        if not isinstance(body, dict):
            self.fail(path, f"found {kind_of(body)} where variables are expected", "one `name: value` a line, indented")
        for name, value in body.items():
            here = (*path, name)
            if not isinstance(name, str):
                hint = f'YAML reads it so; put it in quotes if it is a name: "{self._source.key_raw(here)}"'
                self.fail(here, f"found {kind_of(name)} where a variable's name is expected", hint)
            place = self._source.place(here)
            spot = Spot(self._source, here)
            yield Written(name, value, place, raw=self._source.raw(here), explicit=explicit, spot=spot)

    def _names(self, path: KeyPath) -> Iterator[Any]:
        """The keys of a hosts or children mapping; Ansible takes a lone text for one name as well."""
        body = self._at(path)
        if body is None:
            return
        if isinstance(body, str):
            body = {body: None}
        if not isinstance(body, dict):
            example = "write `mini-1:` a line, each with its colon" if path[-1] == "hosts" else "write `mlx:` a line"
            self.fail(path, f"found {kind_of(body)} where a mapping of names is expected", example)
        yield from body

    def _name(self, path: KeyPath, kind: str) -> str:
        name = path[-1]
        if not isinstance(name, str):
            hint = f'put it in quotes: "{self._source.key_raw(path)}"'
            self.fail(path, f"found {kind_of(name)} where a {kind}'s name is expected", hint)
        if not NAME.fullmatch(name):
            self.fail(path, f"{name!r} cannot name a {kind}", "letters, digits, `-`, `_` and `.`, ends in none of `-.`")
        return name

    def _at(self, path: KeyPath) -> Any:
        value: Any = self._source.value
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def finish(self) -> Structure:
        """Hang what has no parent under `all`, weigh the depths, and freeze."""
        groups, nodes = self._groups, self._nodes
        for name, group in groups.items():
            if name != ALL and not group.parents:
                groups[ALL].children.append(name)
                group.parents.append(ALL)
        for node, entry in nodes.items():
            if GroupName(node) in groups:
                title = f"{node} is the name of a node and of a group"
                other = f"the group is at {groups[GroupName(node)].place}"
                raise InventoryError(title, place=entry.place, detail=other, hint="give one of them another name")
            if any(parent not in (ALL, UNGROUPED) for parent in entry.parents):
                entry.parents = [parent for parent in entry.parents if parent != UNGROUPED]
                groups[UNGROUPED].nodes.pop(node, None)
            elif UNGROUPED not in entry.parents:
                entry.parents.append(UNGROUPED)
                groups[UNGROUPED].nodes[node] = None
        depths = self._depths()
        return Structure(
            {
                name: GroupEntry(
                    name=name,
                    place=group.place,
                    parents=tuple(group.parents),
                    children=tuple(group.children),
                    nodes=tuple(group.nodes),
                    variables=tuple(group.variables),
                    depth=depths[name],
                    priority=group.priority,
                )
                for name, group in groups.items()
            },
            {
                node: NodeEntry(node, entry.place, tuple(entry.parents), tuple(entry.variables))
                for node, entry in nodes.items()
            },
        )

    def _depths(self) -> dict[GroupName, int]:
        """The longest path from `all` to every group. Raises InventoryError for a cycle."""
        above = {name: tuple(group.parents) for name, group in self._groups.items()}
        try:
            order = tuple(graphlib.TopologicalSorter(above).static_order())
        except graphlib.CycleError as problem:
            cycle: list[GroupName] = problem.args[1]
            raise InventoryError(
                f"the group {cycle[0]} is inside itself",
                place=self._groups[cycle[0]].place,
                detail=" holds ".join(cycle),
                hint="take one of them out of the other's `children:`",
            ) from None
        depths: dict[GroupName, int] = {}
        for name in order:
            depths[name] = max((depths[parent] + 1 for parent in above[name]), default=0)
        return depths
