"""The file in which the routes live: what a ticket's changes would do to it, and doing exactly that, once.

A proposal names the file by its content. It is applied to that content and no other, in one rename, or not at all.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fleet.control.inventory import Inventory
from fleet.control.inventory.edit import locked
from fleet.control.inventory.load import build_inventory
from fleet.control.inventory.partedit import Append, CannotEdit, Drop, Number, Order, PartEdit, Put
from fleet.control.inventory.partedits import edited
from fleet.control.inventory.project import Project
from fleet.control.inventory.spot import Spot
from fleet.control.inventory.yamlsource import KeyPath, Positioned, parse_yaml, read_text, shown_path
from fleet.errors import FleetError, InventoryError, UsageError
from fleet.practice.tickets.change import Do, RouteChange
from fleet.practice.tickets.ticket import ALREADY, Proposal


class Applied(StrEnum):
    """What became of a proposal."""

    DONE = "done"
    ALREADY = "already"


class MovedOn(FleetError):
    """The file is not the one that the proposal was made for."""

    code = "moved_on"


@dataclass(frozen=True, kw_only=True)
class RouteFile:
    """The inventory file of a project, as a Proposer for tickets and as what a proposal is applied to."""

    project: Project

    def propose(self, changes: tuple[RouteChange, ...]) -> Proposal:
        """The exact change of the file as it is now. Raises FleetError when there is none; the title says why."""
        before = self._read()
        after = self._changed(before, changes)
        if after == before:
            raise FleetError(ALREADY)
        name = self._name
        lines = difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
        )
        diff = "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
        return Proposal(file=name, before=_digest(before), after=_digest(after), diff=diff)

    def pending(self, proposal: Proposal) -> bool:
        """Whether there is something to apply: False when the file says it already. Raises MovedOn."""
        return self._pending(self._read(), proposal)

    def apply(self, proposal: Proposal, changes: tuple[RouteChange, ...]) -> Applied:
        """Write what the proposal shows. To apply it again changes nothing.

        Raises MovedOn when the file has changed since, FleetError when it cannot be written.
        """
        path = self.project.inventory.resolve()
        with locked(path.parent):
            text = self._read()
            if not self._pending(text, proposal):
                return Applied.ALREADY
            after = self._changed(text, changes)
            if _digest(after) != proposal.after:
                raise _moved(path)
            _replace(path, after)
        return Applied.DONE

    def _pending(self, text: str, proposal: Proposal) -> bool:
        if proposal.file != self._name or _digest(text) not in (proposal.before, proposal.after):
            raise _moved(self.project.inventory)
        return _digest(text) == proposal.before

    @property
    def _name(self) -> str:
        try:
            return self.project.inventory.resolve().relative_to(self.project.root.resolve()).as_posix()
        except ValueError:
            return self.project.inventory.name

    def _read(self) -> str:
        return read_text(self.project.inventory, name=shown_path(self.project.inventory))

    def _changed(self, text: str, changes: tuple[RouteChange, ...]) -> str:
        """The text with all of them. Raises FleetError where one cannot be made without disturbing something else."""
        name = shown_path(self.project.inventory)
        for change in changes:
            source = parse_yaml(text, name=name)
            inventory = build_inventory(source, path=self.project.inventory)
            _require_unneeded(change, inventory)
            try:
                text = edited(text, tuple(_edits(change, inventory, source)), name=name)
            except CannotEdit as problem:
                raise FleetError(f"{problem}; edit it yourself") from None
        try:
            build_inventory(parse_yaml(text, name=name), path=self.project.inventory)
        except (InventoryError, UsageError) as problem:
            raise FleetError(f"the inventory would not be valid: {problem.title}") from None
        return text


def _require_unneeded(change: RouteChange, inventory: Inventory) -> None:
    """What goes must not be the default route: no front would start with it. Raises FleetError."""
    gone = {Do.DROP_ROUTE: change.route, Do.DROP_MODEL: change.served}.get(change.do)
    for node in inventory.nodes.values():
        if gone is not None and node.settings.default_route == gone:
            place = node.place_of("default_route")
            raise FleetError(f"{place}: default_route is {gone}; name another one first")


def _edits(change: RouteChange, inventory: Inventory, source: Positioned) -> Iterator[PartEdit]:
    """The edits of the file for one change, wherever the routes or upstreams of a node are written."""
    variable = "upstreams" if change.upstream else "routes"
    paths: dict[KeyPath, Spot] = {}
    for node in inventory.nodes.values():
        written = node.written.get(variable)
        if written is not None and written.spot is not None:
            paths.setdefault(written.spot.path, written.spot)
    found = [edit for path, spot in paths.items() for edit in _at(change, path, _value(spot.source, path))]
    if not found:
        raise CannotEdit(f"{source.name} has no {variable}.{change.upstream or change.route} to change")
    yield from found


def _at(change: RouteChange, path: KeyPath, value: object) -> Iterator[PartEdit]:
    """The edits below one `routes` or `upstreams`; none where it does not have what is changed."""
    name = change.upstream or change.route
    there = value.get(name) if isinstance(value, dict) else None
    if there is None:
        return
    path = (*path, name)
    match change.do:
        case Do.FIRST | Do.LAST | Do.REMOVE:
            yield Order((*path, "models") if isinstance(there, dict) else path, change.models)
        case Do.UNGRAY:
            yield Drop((*path, "gray"))
        case Do.DROP_ROUTE:
            yield Drop(path)
        case Do.ADD_MODEL | Do.DROP_MODEL | Do.PRICE:
            models = there.get("models") if isinstance(there, dict) else None
            yield from _of_models(change, (*path, "models"), models)


def _of_models(change: RouteChange, path: KeyPath, models: object) -> Iterator[PartEdit]:
    if change.do is Do.ADD_MODEL:
        yield Append(path, change.asked) if isinstance(models, list) else Put(path, change.served, change.asked)
    elif change.do is Do.DROP_MODEL:
        yield Drop((*path, models.index(change.served) if isinstance(models, list) else change.served))
    else:
        price = (*path, change.served, "price")
        yield Number((*price, "prompt_per_million"), change.prompt_per_million)
        yield Number((*price, "completion_per_million"), change.completion_per_million)


def _value(source: Positioned, path: KeyPath) -> object:
    value = source.value
    for step in path:
        value = value[step]
    return value


def _moved(path: Path) -> MovedOn:
    return MovedOn(
        f"{shown_path(path)} is not what the proposal was made for",
        detail="it has changed since, so what was shown is not what would be written",
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _replace(path: Path, text: str) -> None:
    try:
        mode = path.stat().st_mode & 0o777
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(mode)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as problem:
        raise FleetError(f"{path} cannot be written: {problem.strerror or problem}") from None
