"""The live text of what a plan changes, so that a person sees a diff."""

from __future__ import annotations

from fleet.node.sync.machine import Machine
from fleet.node.sync.observed import ObservedNode
from fleet.vocabulary.contracts.desired import Daemon, DesiredState, Directory, File, Item, Tree
from fleet.vocabulary.contracts.sync import LastWrite, Step

_TEXT_LIMIT_BYTES = 256 * 1024
_TEXTS_LIMIT_BYTES = 4 * 1024 * 1024


def last_writes(machine: Machine, state: DesiredState, todo: tuple[Step, ...]) -> dict[str, LastWrite]:
    """Who wrote last what a step would change, by the step's key. What is not there has no entry."""
    items = {item.key: item for item in state.items}
    found: dict[str, LastWrite] = {}
    for step in todo:
        item = items.get(step.key)
        path = state.layout.plist(item.label) if isinstance(item, Daemon) else ""
        if isinstance(item, File | Directory | Tree):
            path = item.path
        at = machine.disk.stat(path) if path else None
        if at and at.exists:
            found[step.key] = LastWrite(path=path, at_seconds=machine.disk.modified_seconds(path), owner=at.owner)
    return found


def live_texts(
    machine: Machine,
    state: DesiredState,
    previous: DesiredState | None,
    *,
    observed: ObservedNode,
    todo: tuple[Step, ...],
) -> dict[str, str]:
    """The live text of what the steps change, for diffs: plists, and files that are no secret."""
    known = (*(previous.items if previous else ()), *state.items)
    items = _changing(known, todo)
    texts = _Texts(machine)
    for item in items:
        if isinstance(item, Daemon):
            path, found = state.layout.plist(item.label), observed.daemons[item.label].plist
        else:
            path, found = item.path, observed.paths[item.path]
        if not found.same:
            texts.take(path, path)
    return texts.found


def kept_texts(
    machine: Machine, state: DesiredState, previous: DesiredState | None, *, todo: tuple[Step, ...]
) -> dict[str, str]:
    """What the steps would make of plists, and of files that are no secret, as far as the node keeps it: by digest."""
    known = (*(previous.items if previous else ()), *state.items)
    texts = _Texts(machine)
    here = {item.key for item in state.items}
    for item in _changing(known, todo):
        if item.key not in here:
            continue
        blob = item.plist if isinstance(item, Daemon) else item.blob
        texts.take(blob.digest, machine.layout.content(blob.hex))
    return texts.found


def _changing(known: tuple[Item, ...], todo: tuple[Step, ...]) -> list[File | Daemon]:
    """What the steps change and may be shown: what lies there may be the former state's secret, though none now."""
    keys = {step.key for step in todo}
    hidden = {item.path for item in known if isinstance(item, File) and (item.sensitive or item.blob.secret)}
    last = {item.key: item for item in known if item.key in keys}
    return [
        item
        for item in last.values()
        if isinstance(item, Daemon) or (isinstance(item, File) and item.path not in hidden)
    ]


class _Texts:
    """Reads texts, as many and as large as a plan may hold."""

    def __init__(self, machine: Machine) -> None:
        self.found: dict[str, str] = {}
        self._machine = machine
        self._size = 0

    def take(self, name: str, path: str) -> None:
        """Read a file under a name, if it is one, a text, and not too large."""
        content = self._machine.disk.read(path, limit_bytes=_TEXT_LIMIT_BYTES)
        if content is None or self._size + len(content) > _TEXTS_LIMIT_BYTES:
            return
        try:
            self.found[name] = content.decode()
        except UnicodeDecodeError:
            return
        self._size += len(content)
