"""The Ansible shape of an inventory: groups, hosts and what is written at each. Nothing is merged here.

`all` holds every group that no other holds, `ungrouped` every node that only `all` holds. The depth of a group is its
longest path from `all`, as in Ansible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleet.control.inventory.spot import Spot
from fleet.vocabulary.names import GroupName, NodeName

ALL = GroupName("all")
UNGROUPED = GroupName("ungrouped")


@dataclass(frozen=True, slots=True)
class Written:
    """A variable as it was written somewhere. `raw` is the scalar's own text (`010`), empty for lists and mappings.

    `explicit` is False where it was given to a whole range. `spot` knows the places of its parts.
    """

    name: str
    value: object
    place: str
    raw: str = ""
    explicit: bool = True
    spot: Spot | None = None

    def at(self, *steps: object) -> str:
        """`file:line:column` of a part of it."""
        return self.spot.at(*steps) if self.spot and steps else self.place


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """One group: its own parents, children, nodes and variables, in the order of the file.

    A group may be written in several places, so a variable may occur twice. `priority` is `ansible_group_priority`.
    """

    name: GroupName
    place: str
    parents: tuple[GroupName, ...]
    children: tuple[GroupName, ...]
    nodes: tuple[NodeName, ...]
    variables: tuple[Written, ...]
    depth: int
    priority: int = 1

    @property
    def rank(self) -> tuple[int, int]:
        """What decides between groups: depth, then Ansible's priority."""
        return (self.depth, self.priority)


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One node: the groups that name it, and the variables beside its name there."""

    name: NodeName
    place: str
    parents: tuple[GroupName, ...]
    variables: tuple[Written, ...]


@dataclass(frozen=True)
class Structure:
    """Everything that an inventory file says. Nodes and groups are in file order, `all` and `ungrouped` first."""

    groups: Mapping[GroupName, GroupEntry]
    nodes: Mapping[NodeName, NodeEntry]

    def ancestors(self, groups: Iterable[GroupName]) -> tuple[GroupEntry, ...]:
        """These groups and everything above them, `all` first and the deepest last."""
        seen: set[GroupName] = set()
        waiting = list(groups)
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += self.groups[name].parents
        return tuple(sorted((self.groups[name] for name in seen), key=lambda group: (*group.rank, group.name)))

    def members(self, group: GroupName) -> frozenset[NodeName]:
        """The nodes of `group` and of every group below it."""
        seen: set[GroupName] = set()
        waiting = [group]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += self.groups[name].children
        return frozenset(node for name in seen for node in self.groups[name].nodes)
