"""Find and end what a simulation has started: by the mark in its environment, wherever it went."""

from __future__ import annotations

import os

import psutil

MARK = "FLEET_SIM"
TERMINATE_SECONDS = 3.0
ROUNDS = 5
"""A process that is ended may have started another one meanwhile."""


def marked(marker: str) -> list[psutil.Process]:
    """Every process of this user that bears the mark, but this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == marker:
                found.append(process)
        except psutil.Error:
            continue
    return found


def end_marked(marker: str) -> int:
    """SIGTERM, then SIGKILL to every marked process, until none is born any more; how many there were."""
    count = 0
    for _ in range(ROUNDS):
        processes = marked(marker)
        if not processes:
            break
        count += len(processes)
        for process in processes:
            _quietly(process.terminate)
        _, alive = psutil.wait_procs(processes, timeout=TERMINATE_SECONDS)
        for process in alive:
            _quietly(process.kill)
        psutil.wait_procs(alive, timeout=TERMINATE_SECONDS)
    return count


def _quietly(act: object) -> None:
    try:
        act()  # type: ignore[operator]
    except psutil.Error:
        pass
