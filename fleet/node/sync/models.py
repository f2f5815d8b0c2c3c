"""Which weights are on the node, what refers to them, and which daemons stand on them."""

from __future__ import annotations

from fleet.node.sync import releases
from fleet.node.sync.audit import left_live
from fleet.node.sync.machine import Machine
from fleet.node.sync.pulled import FOLDER_NAME, spared_until
from fleet.node.sync.tail import services
from fleet.vocabulary.contracts.desired import DesiredState, Tree
from fleet.vocabulary.contracts.questions import Models, StoredModel


def list_models(machine: Machine) -> Models:
    """The weights by name. Half-removed and foreign folders are not among them."""
    disk, folder = machine.disk, f"{machine.layout.root}/models"
    current = releases.current_id(machine)
    kept = {state_id: releases.load(machine, state_id) for state_id in releases.kept_ids(machine)}
    referring = {state_id: _weights(state) for state_id, state in kept.items() if state is not None}
    left = left_live(machine)
    running = _running(machine, kept.get(current) if current else None)
    spared, now = spared_until(machine), machine.clock.now().timestamp()
    found: list[StoredModel] = []
    for name in sorted(disk.names(folder)):
        path = f"{folder}/{name}"
        if not FOLDER_NAME.fullmatch(name) or disk.stat(path).kind != "directory":
            continue
        refers = sorted(
            (one for one, names in referring.items() if name in names), key=lambda one: (one != current, one)
        )
        live = current in refers
        times = [left[one] for one in refers if one in left]
        found.append(
            StoredModel(
                name=name,
                size_bytes=disk.size_bytes(path),
                releases=tuple(refers),
                live=live,
                loaded_by=tuple(label for label, names in running.items() if name in names),
                used_seconds=now if live else max(times, default=None),
                spared_seconds=spared.get(name),
            )
        )
    return Models(models=tuple(found), free_bytes=disk.free_bytes(machine.layout.root))


def _weights(state: DesiredState) -> frozenset[str]:
    trees = (item for item in state.items if isinstance(item, Tree) and item.role == "model")
    return frozenset(tree.path.rpartition("/")[2] for tree in trees)


def _running(machine: Machine, live: DesiredState | None) -> dict[str, frozenset[str]]:
    """The running daemons of the live release, with the folders that they stand on."""
    daemons = {daemon.label: frozenset(daemon.inputs.values()) for daemon in live.daemons} if live else {}
    states = services(machine, list(daemons))
    return {one.label: daemons[one.label] for one in states if one.state == "running"}
