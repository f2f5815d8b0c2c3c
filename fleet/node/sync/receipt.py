"""The receipt of a finished run: what the helper compares, in POSIX sh, to say "nothing to do" without Python.

Lines of `KIND A B C D REST`; see `is_idle` in helper.sh. It is written last and removed first, is 0600 since it
holds plain digests of secret files, and anything that the helper cannot check makes it look again in Python.
"""

from __future__ import annotations

from fleet.node.sync.facts import os_build
from fleet.node.sync.machine import Machine
from fleet.node.sync.observe import holds
from fleet.node.sync.settings import read_settings, wanted
from fleet.vocabulary.contracts.desired import (
    Blob,
    Command,
    Daemon,
    DesiredState,
    Directory,
    File,
    Item,
    Pmset,
    Sysctl,
    Tree,
)


def write_receipt(machine: Machine, state: DesiredState) -> None:
    """Write the receipt of a state that was just proved to hold.

    What changed since then (a gate takes minutes) gets no receipt, or it would count as wanted for ever.
    """
    if not all(_still(machine, item) for item in state.items):
        remove_receipt(machine)
        return
    live = read_settings(machine, state.items)
    lines = ["fleet-receipt 1 - - - -", f"state {state.state_id} - - - -", *_system(machine)]
    for item in state.items:
        lines += _lines(machine, item, live)
    programs = sorted({daemon.program for daemon in state.daemons})
    lines += [f"program - - - - {path}" for path in programs if machine.disk.identity(path)]
    text = "\n".join([*dict.fromkeys(lines), "end - - - -", ""])
    machine.disk.write(machine.layout.state("receipt"), text.encode(), mode=0o600)


def remove_receipt(machine: Machine) -> None:
    """Something is about to change: the last receipt says nothing any more."""
    machine.disk.remove(machine.layout.state("receipt"))


def _still(machine: Machine, item: Item) -> bool:
    match item:
        case File():
            return holds(machine, item.path, item.blob) and machine.disk.stat(item.path).mode == item.mode
        case Daemon():
            return holds(machine, machine.layout.plist(item.label), item.plist)
        case _:
            return True


def _lines(machine: Machine, item: Item, live: dict[str, str]) -> list[str]:
    match item:
        case Directory():
            return [f"directory {machine.disk.listing(item.path)} - {item.path}"]
        case File():
            return [_file(machine, item.path, item.blob)]
        case Tree():
            return [f"tree - - - - {item.path}"]
        case Daemon():
            up = "loaded" if item.on_demand else "running"
            return [
                _file(machine, machine.layout.plist(item.label), item.plist),
                f"daemon {up} enabled - - {item.label}",
            ]
        case Pmset() | Sysctl():
            return [
                f"{item.kind} {name.split(':', 1)[1]} - - - {value}"
                for name, value in wanted(item).items()
                if name in live
            ]
        case Command():
            lines = ["check - - - - -"] if item.check else []
            return lines + ([f"exists - - - - {item.creates}"] if item.creates else [])
        case _:
            return []


def _system(machine: Machine) -> list[str]:
    """The build of macOS: after an upgrade the node is looked at anew."""
    build = os_build(machine)
    return [f"sysctl kern.osversion - - - {build}"] if build else []


def _file(machine: Machine, path: str, blob: Blob) -> str:
    """What holds a blob has its digest; a secret's is keyed, and sh knows no keys."""
    digest = machine.disk.sha256(path) if blob.secret else blob.hex
    return f"file {machine.disk.listing(path)} {digest} {path}"
