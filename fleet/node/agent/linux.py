"""Readings of a Linux machine from /proc: for a fleet on trial. What only macOS has is unknown."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from fleet.node.agent.procfs import parse_boot, parse_cpu, parse_meminfo, parse_vmstat
from fleet.node.agent.reading import CpuTimes, Machine
from fleet.vocabulary.contracts.snapshot import Memory, Swap

PROC = Path("/proc")


class LinuxReader:
    """Readings of the machine whose /proc is `proc`."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._ticks_per_second = os.sysconf("SC_CLK_TCK")

    @property
    def name(self) -> str:
        """`linux`."""
        return "linux"

    def machine(self) -> Machine:
        """Kernel release, and the processor's name."""
        names = [
            line.partition(":")[2].strip()
            for line in self._text("cpuinfo").splitlines()
            if line.startswith("model name")
        ]
        return Machine(os_version=f"Linux {platform.release()}", chip=names[0] if names else None)

    def boot_time_seconds(self) -> float | None:
        """When the kernel started."""
        return parse_boot(self._text("stat"))

    def memory(self) -> Memory:
        """As free(1) counts. Memory of programs has no number of its own there: `app_bytes` is unknown."""
        read = parse_meminfo(self._text("meminfo"))
        total, available = read.get("MemTotal"), read.get("MemAvailable")
        cached = [read[name] for name in ("Cached", "SReclaimable") if name in read]
        return Memory(
            total_bytes=total,
            cached_bytes=sum(cached) if "Cached" in read else None,
            free_bytes=read.get("MemFree"),
            free_ratio=available / total if total and available is not None else None,
        )

    def swap(self) -> Swap:
        """Swap, and the counters of real swapping, which a kernel may not have."""
        read = parse_meminfo(self._text("meminfo"))
        total, free = read.get("SwapTotal"), read.get("SwapFree")
        try:
            counts = parse_vmstat(self._text("vmstat"))
        except FileNotFoundError:
            counts = {}
        return Swap(
            total_bytes=total,
            used_bytes=total - free if total is not None and free is not None else None,
            swapins_bytes_total=self._bytes(counts.get("pswpin")),
            swapouts_bytes_total=self._bytes(counts.get("pswpout")),
        )

    def thermal_level(self) -> int | None:
        """Never known."""
        return None

    def cpu(self) -> CpuTimes | None:
        """Time of all cores."""
        return parse_cpu(self._text("stat"), ticks_per_second=self._ticks_per_second)

    def gpu_ratio(self) -> float | None:
        """Never known."""
        return None

    def load_1m(self) -> float | None:
        """`getloadavg`."""
        return os.getloadavg()[0]

    def footprint_bytes(self, pid: int) -> int | None:  # noqa: ARG002 (macOS alone counts it)
        """Never known."""
        return None

    def wants(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def feed(self, command: str, text: str) -> None:
        """Nothing is wanted."""

    def _bytes(self, pages: int | None) -> int | None:
        return None if pages is None else pages * self._page_bytes

    def _text(self, name: str) -> str:
        with open(self._proc / name, "rb", buffering=0) as file:
            return file.readall().decode("utf-8", "replace")
