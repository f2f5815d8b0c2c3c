"""Writes a node's pins into the inventory that a person wrote: comments, order, quotes and blank lines stay."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from fleet.control.inventory.insertion import Edit, Editor, apply
from fleet.control.inventory.parse import parse_structure
from fleet.control.inventory.sites import Site, sites_of
from fleet.control.inventory.structure import Structure
from fleet.control.inventory.wording import same_value
from fleet.control.inventory.yamlsource import Positioned, parse_yaml, read_text, shown_path
from fleet.errors import InventoryError, UsageError
from fleet.vocabulary.names import NodeName

_BOM = "\ufeff"


Pins = Mapping[NodeName, Mapping[str, str]]
"""Variables (`host_key`, ...) to write beside nodes."""


def pin_nodes(path: Path, pins: Pins) -> str:
    """Set variables beside nodes in the inventory at `path`; returns the new text of the file.

    The file is replaced in one rename, and two processes wait for each other. Raises InventoryError where the edit
    would change anything else, and leaves the file alone then.
    """
    target = path.resolve()
    with locked(target.parent):
        text = read_text(target, name=shown_path(path))
        pinned = pinned_text(text, pins, name=shown_path(path))
        if pinned != text:
            _replace(target, pinned)
    return pinned


def pinned_text(text: str, pins: Pins, *, name: str) -> str:
    """`text` with `pins`, and otherwise the same inventory. Pure. Raises InventoryError, UsageError."""
    body = text.removeprefix(_BOM)
    source = parse_yaml(body, name=name)
    before = parse_structure(source)
    for node, values in pins.items():
        if node not in before.nodes:
            raise UsageError(f"{name} has no node {node}")
        for variable in before.nodes[node].variables:
            mine = values.get(variable.name)
            if mine is not None and not variable.explicit and not same_value(variable.value, mine):
                _give_up(pins, place=variable.place, why=f"{variable.name} is given to a whole range there")
    first = before.nodes[next(iter(pins))] if pins else None
    place = first.place if first else name
    try:
        pinned = apply(body, [edit for node, values in pins.items() for edit in _edits(source, node, values)])
        after = parse_structure(parse_yaml(pinned, name=name))
    except (ValueError, InventoryError) as problem:
        _give_up(pins, place=place, why=str(problem))
    if not same_value(_expected(before, pins), _expected(after)):
        _give_up(pins, place=place, why="something else would change")
    return text[: len(text) - len(body)] + pinned


def _edits(source: Positioned, node: NodeName, values: Mapping[str, str]) -> list[Edit]:
    editor = Editor(source.text)
    sites = sites_of(source.root, node)
    edits, missing = [], dict(values)
    for site in sites:
        if site.entry is None or site.ranged:
            continue
        for key, value in values.items():
            entry = site.entry.value.node.entries.get(key)
            if entry is None or entry.merged or site.entry.value.alias:
                continue
            missing.pop(key, None)
            if not same_value(entry.value.node.value, value):
                edits.append(editor.replace(entry, value))
    if missing:
        if not sites:
            raise ValueError("the node is only merged in by <<")
        edits += editor.insert(min(sites, key=_preference), node, missing)
    return edits


def _preference(site: Site) -> int:
    """The best place for new keys: where the node already has variables, then where it is named, then its range."""
    if site.ranged:
        return 3
    if site.entry is None:
        return 2
    return 0 if site.entry.value.node.value and not site.entry.value.alias else 1


def _expected(structure: Structure, pins: Pins = MappingProxyType({})) -> Any:
    """All that the inventory says, as plain data, as it should be with `pins`."""
    groups = [
        [str(group.name), *map(list, (group.parents, group.children, group.nodes)), group.depth, group.priority]
        + [[variable.name, variable.value] for variable in group.variables]
        for group in structure.groups.values()
    ]
    nodes = []
    for name, entry in structure.nodes.items():
        own = {variable.name: variable.value for variable in entry.variables}
        nodes.append([str(name), list(entry.parents), {**own, **pins.get(name, {})}])
    return [groups, nodes]


def _give_up(pins: Pins, *, place: str, why: str) -> NoReturn:
    lines = "\n".join(f"{key}: {value}" for values in pins.values() for key, value in values.items())
    nodes = ", ".join(pins)
    raise InventoryError(
        f"{nodes}: its pins cannot be written here without disturbing something else",
        place=place,
        detail=why,
        hint=f"write these beside {nodes} yourself:\n{lines}",
    ) from None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder of the inventory, so that two who edit it do not undo each other's edits."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(path: Path, text: str) -> None:
    mode = path.stat().st_mode & 0o777
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
