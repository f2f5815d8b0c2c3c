"""Readings of a Linux machine by psutil: for a fleet on trial. What only macOS has is unknown."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fleet.node.agent.cpu import cpu_times
from fleet.node.agent.reading import CpuTimes, Machine
from fleet.vocabulary.contracts.snapshot import Memory, Swap

T = TypeVar("T")

_CPUINFO = Path("/proc/cpuinfo")


class LinuxReader:
    """Readings of this machine. Every method but `machine` raises ImportError where there is no psutil."""

    @property
    def name(self) -> str:
        """`linux`."""
        return "linux"

    def machine(self) -> Machine:
        """Kernel release, and the processor's name, which psutil does not know."""
        names = [
            line.partition(":")[2].strip()
            for line in _CPUINFO.read_text().splitlines()
            if line.startswith("model name")
        ]
        return Machine(os_version=f"Linux {platform.release()}", chip=names[0] if names else None)

    def boot_time_seconds(self) -> float | None:
        """When the kernel started."""
        import psutil

        return psutil.boot_time()

    def memory(self) -> Memory:
        """As free(1) counts. Memory of programs has no number of its own there: `app_bytes` is unknown."""
        import psutil

        memory, _ = _asked(psutil.virtual_memory)
        return Memory(
            total_bytes=memory.total,
            cached_bytes=memory.cached or None,
            free_bytes=memory.free,
            free_ratio=memory.available / memory.total if memory.available else None,
        )

    def swap(self) -> Swap:
        """Swap, and the counters of real swapping, which psutil has right on Linux (pages of 4 KiB)."""
        import psutil

        swap, sure = _asked(psutil.swap_memory)
        return Swap(
            total_bytes=swap.total,
            used_bytes=swap.used,
            swapins_bytes_total=swap.sin if sure else None,
            swapouts_bytes_total=swap.sout if sure else None,
        )

    def thermal_level(self) -> int | None:
        """Never known."""
        return None

    def cpu(self) -> CpuTimes | None:
        """Time of all cores."""
        return cpu_times()

    def gpu_ratio(self) -> float | None:
        """Never known."""
        return None

    def load_1m(self) -> float | None:
        """`getloadavg`."""
        import psutil

        return psutil.getloadavg()[0]

    def footprint_bytes(self, pid: int) -> int | None:  # noqa: ARG002 (macOS alone counts it)
        """Never known."""
        return None

    def wants(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def feed(self, command: str, text: str) -> None:
        """Nothing is wanted."""


def _asked(read: Callable[[], T]) -> tuple[T, bool]:
    """What psutil says, and whether it was sure: it warns, and says 0, for what this kernel does not tell."""
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        return read(), not doubts
