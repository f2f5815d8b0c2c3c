"""Processes: when they started, and what is resident of them. No list of processes is ever made.

Linux says it in /proc; elsewhere psutil does, which is imported when it is first asked: an agent without it, or with
one that its system refuses, lives on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from fleet.node.agent.procfs import parse_boot, parse_resident_pages, parse_start_ticks

if TYPE_CHECKING:
    import psutil

T = TypeVar("T")

PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class ProcessReading:
    """One process. The resident size misses what the GPU holds (FACTS section 3)."""

    started_at_seconds: float | None = None
    resident_bytes: int | None = None


class ProcessSource(Protocol):
    """What the services need to know of processes."""

    def read(self, pid: int) -> ProcessReading | None:
        """The process of that id; None when there is none. What is not ours to see is unknown."""
        ...

    def keep(self, pids: Set[int]) -> None:
        """Forget every process but these."""
        ...


def processes_here() -> ProcessSource:
    """Those of this machine."""
    return LinuxProcesses() if (PROC / "self" / "stat").exists() else Processes()


class LinuxProcesses:
    """By /proc. Nothing is kept: a pid that came back shows another start."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc

    def read(self, pid: int) -> ProcessReading | None:
        """The process of that id. Raises OSError where /proc itself cannot be read."""
        folder = self._proc / str(pid)
        try:
            ticks = parse_start_ticks((folder / "stat").read_text(encoding="utf-8", errors="replace"))
            pages = parse_resident_pages((folder / "statm").read_text(encoding="ascii"))
        except (FileNotFoundError, ProcessLookupError):
            return None
        boot = parse_boot((self._proc / "stat").read_text(encoding="ascii"))
        return ProcessReading(
            started_at_seconds=None if ticks is None or boot is None else ticks / os.sysconf("SC_CLK_TCK") + boot,
            resident_bytes=pages * os.sysconf("SC_PAGE_SIZE") if pages else None,  # 0 is what it says of a zombie
        )

    def keep(self, pids: Set[int]) -> None:
        """Nothing is kept."""


class Processes:
    """By psutil. One handle per process, kept while that process lives: a pid that came back is another process."""

    def __init__(self) -> None:
        self._kept: dict[int, psutil.Process] = {}

    def read(self, pid: int) -> ProcessReading | None:
        """The process of that id.

        Raises ImportError without psutil, and whatever psutil raises on a system that it does not understand.
        """
        import psutil

        process = self._kept.get(pid)
        try:
            if process is None or not process.is_running():
                process = self._kept[pid] = psutil.Process(pid)
        except psutil.Error:
            self._kept.pop(pid, None)
            return None
        handle = process
        return ProcessReading(
            started_at_seconds=_seen(handle.create_time),
            resident_bytes=_seen(lambda: handle.memory_info().rss) or None,
        )

    def keep(self, pids: Set[int]) -> None:
        """Forget every process but these."""
        self._kept = {pid: process for pid, process in self._kept.items() if pid in pids}


def _seen(read: Callable[[], T]) -> T | None:
    """What `read` gives; None for a process that ended just now, or that is another user's."""
    import psutil

    try:
        return read()
    except psutil.Error:
        return None
