"""The readings of a simulated node: the files that its agent reads and its commands print, changed by faults."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fleet.sim.hardware import GIB, PAGE_BYTES, VM_STAT_AT_REST, df_text, vm_stat_text

THERMAL_KEY = "com.apple.system.thermalpressurelevel"
WIRED_LIMIT = "iogpu.wired_limit_mb"
MIB = 1024**2
_MOST_SWAP_BYTES = 8 * GIB

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
        """Swap in use, with the swap-outs that put it there."""
        self._put_swap_usage(used_bytes)
        outs = max(self.vm_stat().get("Swapouts", 0), used_bytes // PAGE_BYTES)
        self.put_vm_stat({"Swapouts": outs, "Swapins": outs // 2})

    def _put_swap_usage(self, used_bytes: int) -> None:
        """The total grows by whole GiB files."""
        used_mb = used_bytes / MIB
        total_mb = -(-used_bytes // (1024 * MIB)) * 1024.0
        free_mb = total_mb - used_mb
        text = f"total = {total_mb:.2f}M  used = {used_mb:.2f}M  free = {free_mb:.2f}M  (encrypted)"
        self.put_sysctl({"vm.swapusage": text})

    def put_headroom(self, room_bytes: int | None) -> None:
        """Wired memory so high that this much is left under the GPU wired limit; None = as at rest.

        With the system's own limit (0) it is three quarters of memory. What is wired, others cannot have.
        """
        values = self.sysctl()
        limit_mb, memory_bytes = int(values.get(WIRED_LIMIT, "0")), int(values.get("hw.memsize", "0"))
        limit_bytes = limit_mb * MIB or memory_bytes * 3 // 4
        rows = {name: VM_STAT_AT_REST[name] for name in ("Pages wired down", "Pages active", "Pages inactive")}
        if room_bytes is not None:
            rows["Pages wired down"] = max(0, limit_bytes - room_bytes) // PAGE_BYTES
            left = max(0, memory_bytes // PAGE_BYTES - rows["Pages wired down"]) // 4
            rows |= {name: min(rows[name], left) for name in ("Pages active", "Pages inactive")}
        self.put_vm_stat(rows)

    def put_disk(self, free_bytes: int) -> None:
        """Room on the data volume."""
        self._put("df.txt", df_text(free_bytes))

    def ahead_seconds(self) -> int:
        """How far the clock is ahead."""
        try:
            return int((self.folder / "clock.txt").read_text())
        except OSError:
            return 0

    def put_clock(self, ahead_seconds: int) -> None:
        """How far the clock is ahead; 0 = not at all. As on a Mac, the boot time moves with the clock."""
        booted = re.match(r"\{ sec = (\d+), usec = (\d+) \}", self.sysctl().get("kern.boottime", ""))
        at = datetime.fromtimestamp(int(booted[1]) - self.ahead_seconds(), UTC) if booted else None
        if ahead_seconds:
            self._put("clock.txt", f"{ahead_seconds}\n")
        else:
            (self.folder / "clock.txt").unlink(missing_ok=True)
        if at is not None and booted:
            self.put_boottime(at.replace(microsecond=int(booted[2])))

    def move(self, *, swapped_bytes: int = 0, read_bytes: int = 0) -> None:
        """Count what was swapped out (half of it comes back), and what was read from files, which is no swapping."""
        rows = self.vm_stat()
        outs, ins = swapped_bytes // PAGE_BYTES, read_bytes // PAGE_BYTES
        added = {"Swapouts": outs, "Swapins": outs // 2, "Compressions": outs, "Pageins": ins}
        self.put_vm_stat({name: rows.get(name, 0) + count for name, count in added.items() if count})
        if swapped_bytes:
            used = re.search(r"used = ([\d.]+)M", self.sysctl().get("vm.swapusage", ""))
            before = int(float(used[1]) * MIB) if used else 0
            if before < _MOST_SWAP_BYTES:
                self._put_swap_usage(min(before + swapped_bytes, _MOST_SWAP_BYTES))

    def put_boottime(self, at: datetime) -> None:
        """When the machine started, which it tells by its own clock."""
        at += timedelta(seconds=self.ahead_seconds())
        local = at.astimezone()
        clock = f"{local:%a %b} {local.day:>2} {local:%H:%M:%S %Y}"
        self.put_sysctl({"kern.boottime": f"{{ sec = {int(at.timestamp())}, usec = {at.microsecond} }} {clock}"})

    def boot(self, *, boot_id: str, at: datetime) -> None:
        """What a boot resets: the boot's identity and time, the GPU wired limit, counters since boot, swap."""
        self.put_boottime(at)
        self.put_sysctl({"kern.bootsessionuuid": boot_id, WIRED_LIMIT: "0"})
        self.put_swap(0)
        self.put_vm_stat({"Swapins": 0, "Swapouts": 0, "Pageins": 120033, "Pageouts": 0, "Compressions": 0,
                          "Decompressions": 0})  # fmt: skip

    def _put(self, name: str, text: str) -> None:
        part = self.folder / f"{name}.part"
        part.write_text(text)
        part.replace(self.folder / name)
