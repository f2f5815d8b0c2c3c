"""The apply job's own log: launchd opens it for append and never bounds it (FACTS section 1.7)."""

from __future__ import annotations

import contextlib

from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import Problem

LIMIT_BYTES = 1_000_000


def bound_own_log(machine: Machine) -> None:
    """Put it aside as `apply.log.1` when it is large. Only one apply job runs, so nobody writes meanwhile."""
    path = machine.layout.state("apply.log")
    if (machine.disk.stat(path).size or 0) < LIMIT_BYTES:
        return
    with contextlib.suppress(OSError, Problem):  # a full disk: then the cut alone helps
        machine.disk.copy(path, f"{path}.1", mode=0o600)
    with contextlib.suppress(OSError):
        machine.disk.truncate(path, 0)
