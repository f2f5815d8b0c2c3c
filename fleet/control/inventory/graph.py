"""The groups as a tree of lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.control.inventory.structure import ALL, UNGROUPED, Structure
from fleet.vocabulary.names import GroupName


def graph_lines(structure: Structure) -> Iterator[str]:
    """`all` and everything below it. A group with several parents is opened once, and only named after that."""
    yield str(ALL)
    yield from _below(structure, ALL, "", {ALL})


def _below(structure: Structure, group: GroupName, indent: str, opened: set[GroupName]) -> Iterator[str]:
    entry = structure.groups[group]
    children = [child for child in entry.children if child != UNGROUPED or structure.groups[child].nodes]
    nodes = entry.nodes if group != ALL else ()
    count = len(nodes) + len(children)
    for number, node in enumerate(nodes, 1):
        yield f"{indent}{'└─' if number == count else '├─'} {node}"
    for number, child in enumerate(children, 1 + len(nodes)):
        last = number == count
        again = child in opened
        yield f"{indent}{'└─' if last else '├─'} {child}:{' (above)' if again else ''}"
        if not again:
            opened.add(child)
            yield from _below(structure, child, indent + ("   " if last else "│  "), opened)
