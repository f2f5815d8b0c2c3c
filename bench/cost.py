"""What processes cost: processor time by their own clock, and resident memory. Linux only.

The clock of a process counts in nanoseconds, with the threads that have ended; /proc/PID/stat counts ticks of 10 ms,
which is more than a good agent needs in half a minute.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_OF_A_PROCESS = 2  # linux/posix-timers.h: CPUCLOCK_SCHED
_REAPED_USER, _REAPED_SYSTEM = 13, 14


def family(pid: int) -> list[int]:
    """The process and all below it."""
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{found[-1]}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes, and of the children that they waited for."""
    return sum(_own_seconds(pid) + _reaped_seconds(pid) for pid in pids)


def resident_mb(pids: Iterable[int]) -> float:
    """Resident memory now, MiB, what is shared counted by each."""
    return sum(_rollup_kb(pid, "Rss:") for pid in pids) / 1024


def own_mb(pids: Iterable[int]) -> float:
    """Resident memory now, MiB, what is shared counted by its part."""
    return sum(_rollup_kb(pid, "Pss:") for pid in pids) / 1024


def _own_seconds(pid: int) -> float:
    try:
        return time.clock_gettime((~pid << 3) | _OF_A_PROCESS)
    except OSError:
        return 0.0


def _reaped_seconds(pid: int) -> float:
    """Counted when they end, in ticks."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[_REAPED_USER]) + int(words[_REAPED_SYSTEM])) / _TICKS_PER_SECOND


def _rollup_kb(pid: int, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return 0
