"""Housekeeping on the node: what is there, and the removal of what `keeping.decide` names.

Whoever calls it holds the node's lock, so nothing is being staged. A path loses its name before its content goes: a
crash leaves rubbish that the next round removes, never half a tree under its address.
"""

from __future__ import annotations

import re
from dataclasses import replace

from fleet.node.sync import releases
from fleet.node.sync.keeping import Entry, Found, Record, Verdict, decide
from fleet.node.sync.machine import Machine
from fleet.node.sync.pending import pending_run, read_request
from fleet.node.sync.problem import Problem
from fleet.node.sync.pulled import spared_until
from fleet.vocabulary.contracts.codec import ContractError, decode
from fleet.vocabulary.contracts.desired import Daemon, DesiredState, File, Keep, Tree
from fleet.vocabulary.contracts.questions import Collected, Dropped
from fleet.vocabulary.contracts.sync import Adopted

_DIGEST = r"[0-9a-f]{64}"
_OURS = {
    "envs": ("tree", rf"{_DIGEST}"),
    "apps": ("tree", rf"{_DIGEST}"),
    "archives": ("tree", rf"{_DIGEST}"),
    "python": ("tree", rf"{_DIGEST}"),
    "models": ("tree", r".+@[0-9a-f]{16}"),
    "files": ("content", rf"{_DIGEST}"),
    "blobs": ("blob", rf"{_DIGEST}(\.part)?"),
    "models/.blobs": ("blob", rf"{_DIGEST}(\.part)?"),
    "runs": ("run", r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
    "sync": ("sync", rf"{_DIGEST}\.(pyz|[a-z0-9-]+\.zip(\.[0-9]+)?)"),
    "state/bad": ("mark", rf"{_DIGEST}"),
    "state/pulled": ("pulled", r".+@[0-9a-f]{16}"),
}
"""Folder below the root -> what fleet puts there and how it is named. Anything else there is nobody's to remove."""
_RUBBISH = re.compile(r"(\.(removed|new))+$")


def prune(
    machine: Machine,
    keep: Keep,
    *,
    sparing: DesiredState | None = None,
    dry_run: bool = False,
    measure: bool = False,
) -> Collected:
    """Remove what no kept release needs. What cannot be removed stops nothing, and is told.

    `sparing` is a state about to be staged: what is here of it stays.
    """
    verdict = decide(survey(machine, sparing=sparing), machine.clock.now().timestamp(), keep)
    return _removed(machine, verdict, dry_run=dry_run, measure=measure)


def _removed(machine: Machine, verdict: Verdict, *, dry_run: bool, measure: bool) -> Collected:
    disk = machine.disk
    dropped: list[Dropped] = []
    problems: list[str] = []
    for path, why in verdict.doomed.items():
        size = disk.size_bytes(path) if measure else 0
        try:
            if not dry_run:
                disk.remove_tree(path)
            dropped.append(Dropped(path=path, why=why, size_bytes=size))
        except (OSError, Problem) as error:
            problems.append(f"{path}: {error}")
    free = disk.free_bytes(machine.layout.root)
    return Collected(dropped=tuple(dropped), kept=verdict.kept, free_bytes=free, problems=tuple(problems))


def prune_models(machine: Machine, *, dry_run: bool = False, pulled_too: bool = False) -> Collected:
    """Remove weights that no release on the node refers to; `pulled_too`: also those that a pull brought lately."""
    found = survey(machine, sparing_pulled=not pulled_too)
    verdict = decide(found, machine.clock.now().timestamp(), Keep(releases=0, days=0, bytes_limit=0))
    folder = f"{machine.layout.root}/models/"
    doomed = {path: why for path, why in verdict.doomed.items() if path.startswith(folder)}
    return _removed(machine, replace(verdict, doomed=doomed), dry_run=dry_run, measure=True)


def survey(machine: Machine, *, sparing: DesiredState | None = None, sparing_pulled: bool = True) -> Found:
    """Everything of fleet's below the root that may age. A folder that is a link leads elsewhere: it is left alone."""
    layout, disk = machine.layout, machine.disk
    folder = f"{layout.root}/releases"
    bad = set(disk.names(layout.state("bad")))
    records = tuple(
        _record(machine, name.removesuffix(".json"), bad=name.removesuffix(".json") in bad)
        for name in disk.names(folder)
        if re.fullmatch(rf"{_DIGEST}\.json", name)
    )
    run_id = pending_run(machine)
    request = read_request(machine, run_id) if run_id else None
    busy = {request.state_id, request.previous} if request else set()
    in_use = {_own_python(machine), layout.run(run_id) if run_id else None}
    target = disk.link_target(layout.current_sync)
    in_use.add(f"{layout.root}/sync/{target}" if target else None)
    if sparing is not None:
        landed = [layout.blob(blob.hex) for blob in sparing.blobs.values()]
        in_use |= {*_refers(machine, sparing), *landed, *(f"{path}.part" for path in landed)}
    if sparing_pulled:
        in_use |= {layout.model_folder(name) for name in spared_until(machine)}
    entries = [entry for kind in _OURS for entry in _entries(machine, kind)]
    return Found(
        records=records,
        entries=tuple(entries),
        current=releases.current_id(machine),
        under_way=frozenset(state_id for state_id in busy if state_id),
        in_use=frozenset(path for path in in_use if path),
    )


def _record(machine: Machine, state_id: str, *, bad: bool) -> Record:
    path = machine.layout.release(state_id)
    state = releases.load(machine, state_id)
    return Record(
        state_id=state_id,
        path=path,
        saved_at_seconds=machine.disk.modified_seconds(path),
        bad=bad,
        refers=None if state is None else frozenset(_refers(machine, state)),
        sizes={} if state is None else {item.path: _size(item) for item in state.items if isinstance(item, Tree)},
    )


def _refers(machine: Machine, state: DesiredState) -> set[str]:
    """The paths below this node's root that a release stands on."""
    paths = {_python_folder(machine.layout.root, state.interpreter)}
    for item in state.items:
        if isinstance(item, Tree):
            paths.add(item.path)
        elif isinstance(item, File):
            paths.add(machine.layout.content(item.blob.hex))
        elif isinstance(item, Daemon):
            paths.add(machine.layout.content(item.plist.hex))
    return {path for path in paths if path}


def _size(tree: Tree) -> int:
    return sum(file.blob.size for file in tree.files) + (tree.archive.size if tree.archive else 0)


def _entries(machine: Machine, folder: str) -> list[Entry]:
    disk, above = machine.disk, f"{machine.layout.root}/{folder}"
    kind, pattern = _OURS[folder]
    if disk.stat(above).kind != "directory":
        return []
    found = []
    for name in disk.names(above):
        bare = _RUBBISH.sub("", name)
        if re.fullmatch(pattern, bare):
            path = f"{above}/{name}"
            what = "rubbish" if bare != name else kind
            found.append(Entry(path=path, kind=what, changed_at_seconds=disk.modified_seconds(path)))
    return found


def _own_python(machine: Machine) -> str | None:
    """The interpreter that sync itself runs in."""
    try:
        adopted = decode(machine.disk.read(machine.layout.state("adopted.json")) or b"", Adopted)
    except ContractError:
        return None
    return _python_folder(machine.layout.root, adopted.interpreter)


def _python_folder(root: str, interpreter: str) -> str | None:
    """`ROOT/python/DIGEST` of an interpreter below it."""
    prefix = f"{root}/python/"
    return prefix + interpreter.removeprefix(prefix).split("/")[0] if interpreter.startswith(prefix) else None
