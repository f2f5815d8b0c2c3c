"""The readings of a simulated node: the files that its agent reads and its commands print, changed by faults."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fleet.sim.hardware import PAGE_BYTES, vm_stat_text

THERMAL_KEY = "com.apple.system.thermalpressurelevel"
MIB = 1024**2

_PRESSURE_FREE_PERCENT = {1: 81, 2: 34, 4: 7}


@dataclass(frozen=True)
class Readings:
    """The folder NODE/sim/readings. Every change replaces a file whole."""

    folder: Path

    def sysctl(self) -> dict[str, str]:
        """Every oid with its value."""
        lines = (self.folder / "sysctl.txt").read_text().splitlines()
        return {key: value.removeprefix(" ") for key, _, value in (line.partition(":") for line in lines)}

    def put_sysctl(self, values: dict[str, str]) -> None:
        """Set oids."""
        merged = {**self.sysctl(), **values}
        self._put("sysctl.txt", "".join(f"{key}: {value}\n" for key, value in merged.items()))

    def vm_stat(self) -> dict[str, int]:
        """Label -> pages (or events)."""
        rows = re.findall(r"^(.+?):\s+(\d+)\.$", (self.folder / "vm_stat.txt").read_text(), re.MULTILINE)
        return {label: int(value) for label, value in rows}

    def put_vm_stat(self, values: dict[str, int]) -> None:
        """Set rows."""
        self._put("vm_stat.txt", vm_stat_text({**self.vm_stat(), **values}))

    def put_thermal(self, level: str) -> None:
        """A level 0-4; `missing` = nobody publishes the key (reads 0); `failed` = notifyd cannot be reached."""
        text = {"missing": "0", "failed": "Failed with code 9"}.get(level, level)
        colon = ":" if level == "failed" else ""
        self._put("thermal.txt", f"{THERMAL_KEY}{colon} {text}\n")

    def put_pressure(self, level: int) -> None:
        """The memory pressure level (1, 2, 4, or an unknown one), and the free percentage that goes with it."""
        free_percent = _PRESSURE_FREE_PERCENT.get(level, 50)
        self.put_sysctl({
            "kern.memorystatus_vm_pressure_level": str(level),
            "kern.memorystatus_level": str(free_percent),
        })  # fmt: skip
        total_pages = int(self.sysctl().get("hw.memsize", "0")) // PAGE_BYTES
        self.put_vm_stat({"Pages free": total_pages * free_percent // 1000})

    def put_swap(self, used_bytes: int) -> None:
        """Swap in use, with the swap-outs that put it there. The total grows by whole GiB files."""
        used_mb = used_bytes / MIB
        total_mb = -(-used_bytes // (1024 * MIB)) * 1024.0
        free_mb = total_mb - used_mb
        text = f"total = {total_mb:.2f}M  used = {used_mb:.2f}M  free = {free_mb:.2f}M  (encrypted)"
        self.put_sysctl({"vm.swapusage": text})
        outs = max(self.vm_stat().get("Swapouts", 0), used_bytes // PAGE_BYTES)
        self.put_vm_stat({"Swapouts": outs, "Swapins": outs // 2})

    def put_boottime(self, at: datetime) -> None:
        """When the machine started."""
        local = at.astimezone()
        clock = f"{local:%a %b} {local.day:>2} {local:%H:%M:%S %Y}"
        self.put_sysctl({"kern.boottime": f"{{ sec = {int(at.timestamp())}, usec = {at.microsecond} }} {clock}"})

    def boot(self, *, boot_id: str, at: datetime) -> None:
        """What a boot resets: the boot's identity and time, the GPU wired limit, counters since boot, swap."""
        self.put_boottime(at)
        self.put_sysctl({"kern.bootsessionuuid": boot_id, "iogpu.wired_limit_mb": "0"})
        self.put_swap(0)
        self.put_vm_stat({"Swapins": 0, "Swapouts": 0, "Pageins": 120033, "Pageouts": 0, "Compressions": 0,
                          "Decompressions": 0})  # fmt: skip

    def _put(self, name: str, text: str) -> None:
        part = self.folder / f"{name}.part"
        part.write_text(text)
        part.replace(self.folder / name)
