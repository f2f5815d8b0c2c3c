"""Processes by psutil: when they started, and what is resident of them. No list of processes is ever made.

psutil is imported when it is first asked: an agent without it, or with one that its system refuses, lives on.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import psutil

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ProcessReading:
    """One process. The resident size misses what the GPU holds (FACTS section 3)."""

    started_at_seconds: float | None = None
    resident_bytes: int | None = None


class Processes:
    """One handle per process, kept while that process lives: a pid that came back is another process."""

    def __init__(self) -> None:
        self._kept: dict[int, psutil.Process] = {}

    def read(self, pid: int) -> ProcessReading | None:
        """The process of that id; None when there is none. What is not ours to see is unknown.

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
            resident_bytes=_seen(lambda: handle.memory_info().rss) or None,  # 0 is what Linux says of a zombie
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
