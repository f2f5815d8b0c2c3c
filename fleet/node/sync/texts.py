"""The live text of what a plan changes, so that a person sees a diff."""

from __future__ import annotations

from fleet.node.sync.machine import Machine
from fleet.node.sync.observed import ObservedNode
from fleet.vocabulary.contracts.desired import Daemon, DesiredState, Directory, File, Tree
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
    keys = {step.key for step in todo}
    known = (*(previous.items if previous else ()), *state.items)
    items = {item.key: item for item in known}
    # What lies there may be the previous state's secret though it is none any more.
    hidden = {item.path for item in known if isinstance(item, File) and (item.sensitive or item.blob.secret)}
    texts: dict[str, str] = {}
    size = 0
    for key in keys & items.keys():
        item = items[key]
        if isinstance(item, Daemon):
            path, found = state.layout.plist(item.label), observed.daemons[item.label].plist
        elif isinstance(item, File) and item.path not in hidden:
            path, found = item.path, observed.paths[item.path]
        else:
            continue
        content = machine.disk.read(path, limit_bytes=_TEXT_LIMIT_BYTES) if not found.same else None
        if content is not None and size + len(content) <= _TEXTS_LIMIT_BYTES:
            try:
                texts[path] = content.decode()
            except UnicodeDecodeError:
                continue
            size += len(content)
    return texts
