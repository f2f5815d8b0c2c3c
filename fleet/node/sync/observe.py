"""Looking at a node: everything that `steps` wants to know, read once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleet.node.sync.launchd import Launchd
from fleet.node.sync.machine import Machine
from fleet.node.sync.observed import Found, FoundCommand, FoundDaemon, ObservedNode
from fleet.node.sync.settings import read_settings
from fleet.vocabulary.contracts.desired import (
    Blob,
    Command,
    Daemon,
    DesiredState,
    Directory,
    File,
    Item,
    Tree,
)


def observe(
    machine: Machine,
    desired: DesiredState,
    previous: DesiredState | None,
    *,
    touched: Mapping[str, str] | None = None,
    commands: Mapping[str, FoundCommand] | None = None,
) -> ObservedNode:
    """What of the two states is on the node now. Raises Problem when launchctl does not answer.

    `commands` are answers from an earlier look: then no check is run again.
    """
    items = {item.key: item for item in (previous.items if previous else ())}
    items.update((item.key, item) for item in desired.items)
    wanted = {item.key for item in desired.items}
    return ObservedNode(
        paths=_paths(machine, items.values()),
        daemons=_daemons(machine, [item for item in items.values() if isinstance(item, Daemon)]),
        settings=read_settings(machine, desired.items),
        commands=commands
        if commands is not None
        else {
            key: _command(machine, item) for key, item in items.items() if isinstance(item, Command) and key in wanted
        },
        touched=touched,
    )


def holds(machine: Machine, path: str, blob: Blob) -> bool:
    """Whether the regular file at `path` has that content.

    A secret's digest is keyed, with a salt that may have changed since: its kept copy is compared instead.
    """
    if blob.secret:
        return machine.disk.same(path, machine.layout.content(blob.hex))
    return machine.disk.sha256(path) == blob.hex


def _paths(machine: Machine, items: Iterable[Item]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for item in items:
        if isinstance(item, File):
            found[item.path] = _file(machine, item.path, item.blob)
        elif isinstance(item, Directory | Tree):
            found[item.path] = Found(at=machine.disk.stat(item.path))
    return found


def _file(machine: Machine, path: str, blob: Blob) -> Found:
    at = machine.disk.stat(path)
    return Found(at=at, same=at.kind == "file" and holds(machine, path, blob))


def _daemons(machine: Machine, daemons: list[Daemon]) -> dict[str, FoundDaemon]:
    if not daemons:
        return {}
    launchd = Launchd(machine=machine)
    disabled = launchd.disabled()
    found: dict[str, FoundDaemon] = {}
    for daemon in daemons:
        plist = _file(machine, machine.layout.plist(daemon.label), daemon.plist)
        remembered = machine.disk.read(f"{machine.layout.state('programs')}/{daemon.label}")
        found[daemon.label] = FoundDaemon(
            printed=launchd.print(daemon.label),
            plist=plist,
            disabled=disabled.get(daemon.label, False),
            plist_arguments=_arguments(machine, daemon) if plist.same else None,
            program_replaced=bool(remembered) and (machine.disk.identity(daemon.program) or "").encode() != remembered,
        )
    return found


def _arguments(machine: Machine, daemon: Daemon) -> tuple[str, ...] | None:
    """The plist's arguments, unless launchctl's print could show them in another shape."""
    import plistlib

    try:
        plist = plistlib.loads(machine.disk.read(machine.layout.plist(daemon.label)) or b"")
    except Exception:  # noqa: BLE001 (plistlib raises whatever its XML parser does)
        return None
    words = plist.get("ProgramArguments") if isinstance(plist, dict) else None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return None
    plain = all(word and word == word.strip() and word.isprintable() and word != "}" for word in words)
    return tuple(words) if plain else None


def _command(machine: Machine, item: Command) -> FoundCommand:
    checked = None
    if item.check:
        checked = machine.host.run(item.check, timeout_seconds=item.timeout_seconds, user=item.user).code == 0
    return FoundCommand(created=machine.disk.stat(item.creates).exists if item.creates else None, checked=checked)
