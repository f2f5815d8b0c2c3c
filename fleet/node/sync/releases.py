"""Records of desired states on the node, the `current` link, and what may be thrown away."""

from __future__ import annotations

import re

from fleet.node.sync.machine import Machine
from fleet.vocabulary.contracts.codec import ContractError, canonical, decode
from fleet.vocabulary.contracts.desired import Daemon, DesiredState, File, Tree
from fleet.vocabulary.contracts.sync import Adopted

KEPT_RELEASES = 3
_KEPT_RUNS = 20
_KEPT_ZIPAPPS = 3
_ADDRESSED = re.compile(r"([0-9a-f]{64}|.+@[0-9a-f]{16})(\.[a-z.0-9]+)?$")
_PART_AGE_SECONDS = 7 * 86400.0


def save(machine: Machine, state: DesiredState) -> None:
    """Write the record of a desired state. It may hold command lines, so only root reads it."""
    machine.disk.write(machine.layout.release(state.state_id), canonical(state), mode=0o600)


def load(machine: Machine, state_id: str | None) -> DesiredState | None:
    """The record of a state; None when there is none, or it cannot be read any more."""
    text = machine.disk.read(machine.layout.release(state_id)) if state_id else None
    try:
        return decode(text, DesiredState) if text else None
    except ContractError:
        return None


def current_id(machine: Machine) -> str | None:
    """The state id that the `current` link names."""
    target = machine.disk.link_target(machine.layout.current)
    name = (target or "").rsplit("/", 1)[-1]
    return name.removesuffix(".json") if name.endswith(".json") else None


def switch(machine: Machine, state_id: str | None) -> None:
    """Let `current` name another release, in one rename; None takes it away."""
    if state_id is None:
        machine.disk.remove(machine.layout.current)
    elif current_id(machine) != state_id:
        machine.disk.symlink(f"{state_id}.json", machine.layout.current)


def mark_bad(machine: Machine, state_id: str, why: str) -> None:
    """Remember that a release failed here, and why. It may hold last lines of logs, so only root reads it."""
    machine.disk.directory(machine.layout.state("bad"))
    machine.disk.write(f"{machine.layout.state('bad')}/{state_id}", why.encode(), mode=0o600)


def unmark_bad(machine: Machine, state_id: str) -> None:
    """A release works after all."""
    machine.disk.remove(f"{machine.layout.state('bad')}/{state_id}")


def why_bad(machine: Machine, state_id: str) -> str | None:
    """Why a release failed here the last time, if it did."""
    text = machine.disk.read(f"{machine.layout.state('bad')}/{state_id}")
    return None if text is None else text.decode("utf-8", "replace")


def collect(machine: Machine) -> tuple[str, ...]:
    """Remove what none of the last releases refers to. Returns the removed paths.

    Kept are the current release, the two before it by time (failed ones last), and the interpreter of sync itself.
    """
    layout, disk = machine.layout, machine.disk
    folder = f"{layout.root}/releases"
    records = [name for name in disk.names(folder) if name.endswith(".json") and name != "current"]
    live = current_id(machine)
    bad = set(disk.names(layout.state("bad")))

    def worth(name: str) -> tuple[bool, bool, float]:
        state_id = name.removesuffix(".json")
        return state_id == live, state_id not in bad, disk.modified_seconds(f"{folder}/{name}")

    records.sort(key=worth, reverse=True)
    states = {name: load(machine, name.removesuffix(".json")) for name in records[:KEPT_RELEASES]}
    if any(state is None for state in states.values()):
        return ()
    trees, contents = _referred([state for state in states.values() if state])
    trees |= {path for path in (_own_python(machine),) if path}
    doomed = [f"{folder}/{name}" for name in records[KEPT_RELEASES:]]
    for kind in ("envs", "apps", "python", "models"):
        doomed += [path for path in _children(machine, kind) if path not in trees]
    doomed += [path for path in _children(machine, "files") if path not in contents]
    oldest = machine.clock.now().timestamp() - _PART_AGE_SECONDS
    doomed += [path for path in _children(machine, "blobs") if disk.modified_seconds(path) < oldest]
    doomed += _older(machine, "runs", _KEPT_RUNS)
    used = disk.link_target(layout.current_sync)
    doomed += [
        path
        for path in _older(machine, "sync", _KEPT_ZIPAPPS)
        if path != layout.current_sync and path.rsplit("/", 1)[-1] != used
    ]
    for path in doomed:
        disk.remove_tree(path)
    return tuple(doomed)


def _referred(states: list[DesiredState]) -> tuple[set[str], set[str]]:
    trees: set[str] = set()
    contents: set[str] = set()
    for state in states:
        if python := _python_folder(state.layout.root, state.interpreter):
            trees.add(python)
        for item in state.items:
            if isinstance(item, Tree):
                trees.add(item.path)
            elif isinstance(item, File):
                contents.add(state.layout.content(item.blob.hex))
            elif isinstance(item, Daemon):
                contents.add(state.layout.content(item.plist.hex))
    return trees, contents


def _own_python(machine: Machine) -> str | None:
    try:
        adopted = decode(machine.disk.read(machine.layout.state("adopted.json")) or b"", Adopted)
    except ContractError:
        return None
    return _python_folder(machine.layout.root, adopted.interpreter)


def _python_folder(root: str, interpreter: str) -> str | None:
    """`ROOT/python/DIGEST` of an interpreter below it."""
    prefix = f"{root}/python/"
    return prefix + interpreter.removeprefix(prefix).split("/")[0] if interpreter.startswith(prefix) else None


def _children(machine: Machine, kind: str) -> list[str]:
    """What fleet put there, going by the name: something else in the folder is nobody's to remove."""
    folder = f"{machine.layout.root}/{kind}"
    return [f"{folder}/{name}" for name in machine.disk.names(folder) if kind == "runs" or _ADDRESSED.match(name)]


def _older(machine: Machine, kind: str, kept: int) -> list[str]:
    return sorted(_children(machine, kind), key=machine.disk.modified_seconds, reverse=True)[kept:]
