"""A walk over everything that the live release stands on. A deploy never walks: root owns it, so nobody else writes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from fleet.node.sync import releases
from fleet.node.sync.machine import Machine
from fleet.node.sync.observe import holds
from fleet.node.sync.unpack import MANIFEST, read_manifest
from fleet.vocabulary.contracts.desired import Daemon, File, Tree
from fleet.vocabulary.contracts.questions import Flaw, Verified

_FLAWS_AT_MOST = 200


def verify(machine: Machine) -> Verified:
    """What of the live release is not as it was deployed; nothing, when nothing is live."""
    state = releases.load(machine, releases.current_id(machine))
    if state is None:
        return Verified()
    flaws: list[Flaw] = []
    unknown: list[str] = []
    files = size_bytes = 0
    for item in state.items:
        if isinstance(item, File | Daemon):
            path = item.path if isinstance(item, File) else machine.layout.plist(item.label)
            files += 1
            size_bytes += machine.disk.stat(path).size or 0
            if not holds(machine, path, item.blob if isinstance(item, File) else item.plist):
                flaws.append(_flaw(machine, item.key, path))
        elif isinstance(item, Tree):
            wanted = _contents(machine, item)
            if machine.disk.stat(item.path).kind == "directory" and wanted is None:
                unknown.append(item.key)
                continue
            for name, digest in (wanted or {}).items():
                path = f"{item.path}/{name}"
                files += 1
                size_bytes += machine.disk.stat(path).size or 0
                if machine.disk.sha256(path) != digest:
                    flaws.append(_flaw(machine, item.key, path))
            flaws += [
                Flaw(key=item.key, path=path, why="nobody deployed it") for path in _strangers(item, wanted or {})
            ]
            if wanted is None:
                flaws.append(_flaw(machine, item.key, item.path))
    return Verified(
        state_id=state.state_id,
        flaws=tuple(flaws[:_FLAWS_AT_MOST]),
        unknown=tuple(unknown),
        files=files,
        size_bytes=size_bytes,
    )


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
