"""Texts of Linux's /proc, as values. Pure and total: what is odd or missing is unknown. psutil would cost 4 MB."""

from __future__ import annotations

import re

from fleet.node.agent.reading import CpuTimes
from fleet.vocabulary.macos.digits import whole
from fleet.vocabulary.units import KIB

_MEMINFO = re.compile(r"^(\w+(?:\(\w+\))?):\s+([0-9]{1,18}) kB$", re.MULTILINE | re.ASCII)
_PAIR = re.compile(r"^(\w+) ([0-9]{1,20})$", re.MULTILINE | re.ASCII)
_TICKS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""Guest time, which follows, is part of user time."""
_START = 19
"""Of the words behind the name in /proc/PID/stat: the 22nd field."""


def parse_meminfo(text: str) -> dict[str, int]:
    """/proc/meminfo, bytes by name."""
    return {name: int(count) * KIB for name, count in _MEMINFO.findall(text)}


def parse_vmstat(text: str) -> dict[str, int]:
    """/proc/vmstat, counts by name."""
    return {name: int(count) for name, count in _PAIR.findall(text)}


def parse_cpu(text: str, *, ticks_per_second: int) -> CpuTimes | None:
    """The `cpu` line of /proc/stat. A core that waits for a disk is idle."""
    line = next((line for line in text.splitlines() if line.startswith("cpu ")), "")
    counts = [whole(word) for word in line.split()[1 : len(_TICKS) + 1]]
    if len(counts) < _TICKS.index("iowait"):
        return None
    ticks = {name: count for name, count in zip(_TICKS, counts, strict=False) if count is not None}
    if len(ticks) < len(counts):
        return None
    total = sum(ticks.values())
    busy = total - ticks["idle"] - ticks.get("iowait", 0)
    return CpuTimes(busy_seconds=busy / ticks_per_second, total_seconds=total / ticks_per_second)


def parse_boot(text: str) -> float | None:
    """When the kernel started, by the `btime` line of /proc/stat."""
    seconds = parse_vmstat(text).get("btime")
    return float(seconds) if seconds else None


def parse_start_ticks(text: str) -> int | None:
    """When a process started, in ticks since boot, by /proc/PID/stat. Its name may hold blanks and parentheses."""
    words = text.rpartition(")")[2].split()
    return whole(words[_START]) if len(words) > _START else None


def parse_resident_pages(text: str) -> int | None:
    """Resident pages, by /proc/PID/statm."""
    words = text.split()
    return whole(words[1]) if len(words) > 1 else None
