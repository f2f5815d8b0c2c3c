"""Marks of weights that were brought ahead of a deploy: ROOT/state/pulled/NAME@DIGEST, empty files by their age."""

from __future__ import annotations

import re

from fleet.node.sync.keeping import PULLED_DAYS
from fleet.node.sync.machine import Machine

FOLDER_NAME = re.compile(r"[^/]+@[0-9a-f]{16}")
"""How a folder below ROOT/models is called."""
_DAY_SECONDS = 86400.0


def mark_pulled(machine: Machine, name: str) -> None:
    """Spare these weights from now on, for PULLED_DAYS."""
    machine.disk.directory(_folder(machine), mode=0o700)
    machine.disk.write(f"{_folder(machine)}/{name}", b"", mode=0o600)


def spared_until(machine: Machine) -> dict[str, float]:
    """By name: until when (seconds since 1970) weights are spared. Marks that ran out are not in it."""
    now = machine.clock.now().timestamp()
    found = {
        name: machine.disk.modified_seconds(f"{_folder(machine)}/{name}") + PULLED_DAYS * _DAY_SECONDS
        for name in machine.disk.names(_folder(machine))
        if FOLDER_NAME.fullmatch(name)
    }
    return {name: until for name, until in found.items() if until > now}


def _folder(machine: Machine) -> str:
    return machine.layout.state("pulled")
