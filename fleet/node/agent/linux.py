"""Readings of a Linux machine, from /proc: for a fleet on trial. What only macOS has is unknown."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from fleet.node.agent.reading import CpuTicks, Machine, ProcessReading
from fleet.vocabulary.contracts.snapshot import Memory, Swap
from fleet.vocabulary.macos.digits import whole
from fleet.vocabulary.units import KIB

_IDLE, _IOWAIT = 3, 4
_RESIDENT_PAGES = 1


class LinuxReader:
    """Readings from a proc file system."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    @property
    def name(self) -> str:
        """`linux`."""
        return "linux"

    def machine(self) -> Machine:
        """Kernel release and processor."""
        names = [
            line.partition(":")[2].strip()
            for line in (self._proc / "cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
        return Machine(os_version=f"Linux {platform.release()}", chip=names[0] if names else None)

    def boot_time_seconds(self) -> float | None:
        """`btime` of /proc/stat."""
        boot = whole(self._words("stat").get("btime"))
        return float(boot) if boot else None

    def memory(self) -> Memory:
        """/proc/meminfo. `app` is anonymous memory, `cached` the page cache."""
        values = self._meminfo()
        total, available = values.get("MemTotal"), values.get("MemAvailable")
        return Memory(
            total_bytes=total,
            app_bytes=values.get("AnonPages"),
            cached_bytes=values.get("Cached"),
            free_bytes=values.get("MemFree"),
            free_ratio=available / total if available is not None and total else None,
        )

    def swap(self) -> Swap:
        """/proc/meminfo and /proc/vmstat."""
        values, counters = self._meminfo(), self._words("vmstat")
        total, free = values.get("SwapTotal"), values.get("SwapFree")
        page = os.sysconf("SC_PAGE_SIZE")
        ins, outs = whole(counters.get("pswpin")), whole(counters.get("pswpout"))
        return Swap(
            total_bytes=total,
            used_bytes=total - free if total is not None and free is not None else None,
            swapins_bytes_total=ins * page if ins is not None else None,
            swapouts_bytes_total=outs * page if outs is not None else None,
        )

    def thermal_level(self) -> int | None:
        """Never known."""
        return None

    def cpu(self) -> CpuTicks | None:
        """The first line of /proc/stat."""
        ticks = [whole(word) for word in self._words("stat").get("cpu", "").split()]
        known = [tick for tick in ticks if tick is not None]
        if len(known) != len(ticks) or len(known) <= _IOWAIT:
            return None
        total = sum(known[:8])  # guest time is part of user time
        return CpuTicks(busy=total - known[_IDLE] - known[_IOWAIT], total=total)

    def gpu_ratio(self) -> float | None:
        """Never known."""
        return None

    def load_1m(self) -> float | None:
        """`getloadavg`."""
        return os.getloadavg()[0]

    def process(self, pid: int) -> ProcessReading | None:
        """The resident size."""
        try:
            pages = whole((self._proc / str(pid) / "statm").read_text().split()[_RESIDENT_PAGES])
        except (OSError, IndexError):
            return None
        return ProcessReading(resident_bytes=pages * os.sysconf("SC_PAGE_SIZE") if pages is not None else None)

    def wants(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def feed(self, command: str, text: str) -> None:
        """Nothing is wanted."""

    def _meminfo(self) -> dict[str, int]:
        """Bytes by name; lines without `kB` are left out."""
        values: dict[str, int] = {}
        for line in (self._proc / "meminfo").read_text().splitlines():
            key, _, rest = line.partition(":")
            count = whole(rest.strip().removesuffix(" kB"))
            if count is not None and rest.endswith(" kB"):
                values[key] = count * KIB
        return values

    def _words(self, name: str) -> dict[str, str]:
        """The rest of each line by its first word."""
        lines = (line.partition(" ") for line in (self._proc / name).read_text().splitlines())
        return {key: rest.strip() for key, _, rest in lines}
