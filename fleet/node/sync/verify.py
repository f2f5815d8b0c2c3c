"""A walk over everything that the live release stands on. A deploy never walks: root owns it, so nobody else writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from fleet.node.sync import releases
from fleet.node.sync.machine import Machine
from fleet.node.sync.observe import holds
from fleet.node.sync.staging import Staging
from fleet.node.sync.unpack import MANIFEST, read_manifest
from fleet.vocabulary.contracts.desired import Daemon, File, Tree
from fleet.vocabulary.contracts.questions import Flaw, Verified
from fleet.vocabulary.contracts.sync import Progress

_FLAWS_AT_MOST = 200


@dataclass(frozen=True)
class _Walk:
    """What has to be read of a tree. `wanted`: SHA-256 by name; None where nobody can say what belongs into it."""

    tree: Tree
    wanted: Mapping[str, str] | None
    size_bytes: int


def verify(machine: Machine, *, told: Callable[[Progress], None] = lambda _: None) -> Verified:
    """What of the live release is not as it was deployed; nothing, when nothing is live. `told` hears how far it is."""
    state = releases.load(machine, releases.current_id(machine))
    if state is None:
        return Verified()
    flaws: list[Flaw] = []
    unknown: list[str] = []
    walks = [_walk(machine, item) for item in state.items if isinstance(item, Tree)]
    count = Staging(total=sum(walk.size_bytes for walk in walks), told=told, clock=machine.clock)
    files = size_bytes = 0
    for item in state.items:
        if not isinstance(item, File | Daemon):
            continue
        path = item.path if isinstance(item, File) else machine.layout.plist(item.label)
        files += 1
        size_bytes += machine.disk.stat(path).size or 0
        if not holds(machine, path, item.blob if isinstance(item, File) else item.plist):
            flaws.append(_flaw(machine, item.key, path))
    for walk in walks:
        tree = walk.tree
        if walk.wanted is None and machine.disk.stat(tree.path).kind == "directory":
            unknown.append(tree.key)
            continue
        count.begin(tree.key)
        for name, digest in (walk.wanted or {}).items():
            if machine.disk.sha256(f"{tree.path}/{name}", read=count.wrote) != digest:
                flaws.append(_flaw(machine, tree.key, f"{tree.path}/{name}"))
        files += len(walk.wanted or {})
        size_bytes += walk.size_bytes
        flaws += [
            Flaw(key=tree.key, path=path, why="nobody deployed it") for path in _strangers(tree, walk.wanted or {})
        ]
        if walk.wanted is None:
            flaws.append(_flaw(machine, tree.key, tree.path))
    return Verified(
        state_id=state.state_id,
        flaws=tuple(flaws[:_FLAWS_AT_MOST]),
        unknown=tuple(unknown),
        files=files,
        size_bytes=size_bytes,
    )


def _walk(machine: Machine, tree: Tree) -> _Walk:
    wanted = _contents(machine, tree)
    sizes = (machine.disk.stat(f"{tree.path}/{name}").size or 0 for name in wanted or {})
    return _Walk(tree, wanted, sum(sizes))


def _contents(machine: Machine, tree: Tree) -> Mapping[str, str] | None:
    """SHA-256 by name of what belongs into a tree; None when it was staged by a fleet that kept no list."""
    if tree.archive is None:
        return {file.path: file.blob.hex for file in tree.files}
    return read_manifest(machine.disk.read(f"{tree.path}/{MANIFEST}"))


def _strangers(tree: Tree, wanted: Mapping[str, str]) -> Iterator[str]:
    """Files that no list names. Bytecode is made on the node; links hold nothing."""
    for folder, _, names in os.walk(tree.path):
        for name in names:
            path = f"{folder}/{name}"
            known = path.removeprefix(f"{tree.path}/")
            made_here = known == MANIFEST or name.endswith(".pyc") or os.path.islink(path)  # noqa: PTH114 (text)
            if known not in wanted and not made_here:
                yield path


def _flaw(machine: Machine, key: str, path: str) -> Flaw:
    return Flaw(key=key, path=path, why="changed" if machine.disk.stat(path).exists else "missing")
