"""A node and a group of the inventory, everything merged. Frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.control.inventory.settings import NodeSettings
from fleet.control.inventory.structure import Written
from fleet.vocabulary.names import GroupName, NodeName


@dataclass(frozen=True, slots=True)
class Node:
    """A Mac. `groups` are all it is in, `all` first and the deepest last; `place` is where it is named first.

    `variables` are the users' own and fleet's, merged, with fleet's defaults (but none that is null), and Ansible's
    spellings beside fleet's. `settings` are fleet's own, typed; `written` is where each was written.
    """

    name: NodeName
    groups: tuple[GroupName, ...]
    variables: Mapping[str, object]
    settings: NodeSettings
    place: str
    written: Mapping[str, Written] = field(default_factory=dict, compare=False, repr=False)

    @property
    def address(self) -> str:
        """Where the node is reached: its `address`, else its own name."""
        return self.settings.address or self.name

    def place_of(self, variable: str, *steps: object) -> str:
        """`file:line:column` of one of fleet's variables or of a part of it; the node's own place for a default."""
        found = self.written.get(variable)
        return found.at(*steps) if found else self.place

    @property
    def tags(self) -> tuple[str, ...]:
        """The user's variable `tags`: a list, or one text with commas. What `@tag` selects by."""
        tags = self.variables.get("tags")
        if isinstance(tags, str):
            return tuple(tag.strip() for tag in tags.split(",") if tag.strip())
        return tuple(str(tag) for tag in tags) if isinstance(tags, list) else ()


@dataclass(frozen=True, slots=True)
class Group:
    """A group. `nodes` are its own and those of every group below it, in file order."""

    name: GroupName
    nodes: tuple[NodeName, ...]
    parents: tuple[GroupName, ...]
    children: tuple[GroupName, ...]
    depth: int
    place: str
