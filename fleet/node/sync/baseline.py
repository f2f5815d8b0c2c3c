"""What to go back to when a run fails: the release before it, and what was there before fleet came.

Kept as an ordinary DesiredState beside the run's journal, so that going back is the same code as going forward.
"""

from __future__ import annotations

from dataclasses import replace

from fleet.node.sync.disk import PathState
from fleet.node.sync.machine import Machine
from fleet.node.sync.observed import FoundDaemon, ObservedNode
from fleet.node.sync.settings import differing
from fleet.vocabulary.contracts.codec import ContractError, canonical, decode
from fleet.vocabulary.contracts.desired import (
    Blob,
    Daemon,
    DesiredState,
    Directory,
    File,
    Item,
    Pmset,
    Sysctl,
)

_TASK = "as it was before the run"


def capture(
    machine: Machine, desired: DesiredState, previous: DesiredState | None, observed: ObservedNode
) -> DesiredState:
    """The state to go back to from `desired`. Contents of foreign files are put beside those of the releases."""
    known = {item.key: item for item in (previous.items if previous else ())}
    extra: list[Item] = []
    for item in desired.items:
        if item.key in known and not isinstance(item, Pmset | Sysctl):
            continue
        if isinstance(item, Pmset | Sysctl):
            extra += _settings(item, observed)
        elif isinstance(item, File | Directory):
            extra += _path(machine, item, observed.paths[item.path].at)
        elif isinstance(item, Daemon):
            extra += _foreign_job(machine, item, observed.daemons[item.label])
    base = previous or replace(desired, items=(), gates=())
    return replace(base, items=(*extra, *base.items))


def save_baseline(machine: Machine, run_id: str, baseline: DesiredState) -> None:
    """Write it beside the journal."""
    machine.disk.write(f"{machine.layout.run(run_id)}/baseline.json", canonical(baseline), mode=0o600)


def load_baseline(machine: Machine, run_id: str) -> DesiredState | None:
    """Read it again; None when it is not there."""
    text = machine.disk.read(f"{machine.layout.run(run_id)}/baseline.json")
    try:
        return decode(text, DesiredState) if text else None
    except ContractError:
        return None


def _settings(item: Pmset | Sysctl, observed: ObservedNode) -> list[Item]:
    """The values that the item is about to change, where they can be put back as they are.

    An earlier item of the previous state for the same setting is applied later in the list, so it wins.
    """
    live = {name.split(":", 1)[1]: observed.settings.get(name) for name in differing(item, observed.settings)}
    if isinstance(item, Pmset):
        numbers = {key: int(value) for key, value in live.items() if value and value.isdecimal()}
        return [Pmset(task=_TASK, settings=numbers)] if numbers else []
    texts = {key: value for key, value in live.items() if value is not None}
    return [Sysctl(task=_TASK, settings=texts)] if texts else []


def _foreign_job(machine: Machine, item: Daemon, found: FoundDaemon) -> list[Item]:
    """The plist of the same label that was there before fleet, and its job where it was loaded (FACTS section 1.5).

    It is registered again as it was; whether it runs is its own affair, so it counts as on demand.
    """
    path = machine.layout.plist(item.label)
    blank = Blob(digest=item.plist.digest, size=0)
    plist = File(task=_TASK, path=path, blob=blank, mode=0o644, owner="", group="")
    files = [kept for kept in _path(machine, plist, found.plist.at) if isinstance(kept, File)]
    if not files or found.printed is None:
        return [*files]
    timeout = found.printed.exit_timeout_seconds
    job = replace(
        item,
        task=_TASK,
        plist=files[0].blob,
        program=found.printed.program or item.program,
        exit_timeout_seconds=item.exit_timeout_seconds if timeout is None else int(timeout),
        ports=(),
        inputs={},
        reload={},
        logs=(),
        on_demand=True,
    )
    return [*files, job]


def _path(machine: Machine, item: File | Directory, at: PathState) -> list[Item]:
    if at.mode is None or at.owner is None or at.group is None:
        return []
    if isinstance(item, Directory):
        if at.kind != "directory":
            return []
        return [Directory(task=_TASK, path=item.path, mode=at.mode, owner=at.owner, group=at.group)]
    digest = machine.disk.sha256(item.path) if at.kind == "file" else None
    if digest is None:
        return []
    kept = machine.layout.content(digest)
    if machine.disk.sha256(kept) != digest:
        machine.disk.copy(item.path, kept, mode=0o600)
    blob = Blob(digest=f"sha256:{digest}", size=at.size or 0)
    return [File(task=_TASK, path=item.path, blob=blob, mode=at.mode, owner=at.owner, group=at.group, sensitive=True)]
