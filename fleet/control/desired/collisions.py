"""Two things of one node that want the same label, port or path: found before any connection. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.errors import PlaybookError
from fleet.vocabulary.contracts.desired import Daemon, Directory, File, Item, Tree
from fleet.vocabulary.layout import NodeLayout


def without_repeats(items: Iterable[Item], layout: NodeLayout, *, node: str) -> tuple[Item, ...]:
    """The items, each once. Raises PlaybookError for two that differ and are one thing, or want one port or path."""
    found: dict[str, Item] = {}
    ports: dict[int, Daemon] = {}
    paths: dict[str, Item] = {}
    for item in items:
        other = found.get(item.key)
        if other is not None:
            if _same(item, other):
                continue
            raise _twice(f"{item.key.replace(':', ' ', 1)} is there twice and differs", other, item, node)
        found[item.key] = item
        if isinstance(item, Daemon):
            _claim(item, ports, layout, node)
        if isinstance(item, File | Directory | Tree):
            holder = paths.setdefault(item.path, item)
            if holder is not item:
                raise _twice(f"{item.path} is a {holder.kind} and a {item.kind}", holder, item, node)
    return tuple(found.values())


def _claim(item: Daemon, ports: dict[int, Daemon], layout: NodeLayout, node: str) -> None:
    if item.label == layout.apply_label:
        raise PlaybookError(f"the label {item.label} is fleet's own", node=node, detail=f"task {item.task!r}")
    for port in item.ports:
        holder = ports.setdefault(port, item)
        if holder is not item:
            raise _twice(f"port {port} is wanted by {holder.label} and {item.label}", holder, item, node)


def _same(one: Item, other: Item) -> bool:
    """Equal but for the name of the task."""
    return {**vars(one), "task": ""} == {**vars(other), "task": ""}


def _twice(what: str, first: Item, second: Item, node: str) -> PlaybookError:
    return PlaybookError(what, node=node, detail=f"tasks {first.task!r} and {second.task!r}")
