"""Where in the YAML tree of an inventory a node is written: its own entries, and the ranges that name it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fleet.control.inventory.ranges import expand, is_range
from fleet.control.inventory.yamltree import Entry, Use, YamlNode
from fleet.vocabulary.names import NodeName


@dataclass(frozen=True, eq=False)
class Site:
    """One entry of a `hosts:` mapping. `hosts` is that whole entry; `entry` is None where it is a lone text."""

    hosts: Entry
    entry: Entry | None
    ranged: bool = False

    @property
    def in_flow(self) -> bool:
        """Whether the entry is in `{ }`."""
        return self.hosts.value.node.style == "flow"

    @property
    def indent(self) -> int:
        """Columns before the keys of the `hosts:` mapping."""
        return self.hosts.value.node.start.column - 1

    @property
    def step(self) -> int:
        """How much deeper this file indents what belongs to a key."""
        return max(self.hosts.value.node.start.column - self.hosts.key.start.column, 0) or 2


def sites_of(root: YamlNode, node: NodeName) -> tuple[Site, ...]:
    """Every place of a well-formed inventory that names `node`, in file order; what `<<` merges in is not one."""
    found: dict[int, Site] = {}
    for hosts in _hosts_entries(root):
        value = hosts.value.node
        if value.value == node:
            found.setdefault(id(hosts), Site(hosts, None))
        for key, entry in value.entries.items():
            ranged = is_range(str(key))
            if not entry.merged and (node in expand(str(key)) if ranged else key == node):
                found.setdefault(id(entry), Site(hosts, entry, ranged))
    return tuple(found.values())


def own_entries(use: Use) -> tuple[Entry, ...]:
    """The entries that a mapping holds itself, in the order of the text."""
    own = (entry for entry in use.node.entries.values() if not entry.merged)
    return tuple(sorted(own, key=lambda entry: entry.key.start))


def _hosts_entries(groups: YamlNode) -> Iterator[Entry]:
    for entry in own_entries(Use(groups, groups.start, groups.end)):
        body = entry.value.node.entries
        if "hosts" in body:
            yield body["hosts"]
        if "children" in body:
            yield from _hosts_entries(body["children"].value.node)
