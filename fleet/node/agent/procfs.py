"""Texts of Linux's /proc, as values. Pure and total: what is odd or missing is unknown. psutil would cost 4 MB."""

from __future__ import annotations

import re

from fleet.node.agent.reading import CpuTimes
from fleet.vocabulary.macos.digits import whole
from fleet.vocabulary.units import KIB

_MEMINFO = re.compile(
    r"^(MemTotal|MemFree|MemAvailable|Cached|SwapTotal|SwapFree|SReclaimable):\s+([0-9]{1,18}) kB$",
    re.MULTILINE | re.ASCII,
)
_SWAPPED = re.compile(r"^(pswpin|pswpout) ([0-9]{1,20})$", re.MULTILINE | re.ASCII)
_BOOTED = re.compile(r"^btime ([0-9]{1,20})$", re.MULTILINE | re.ASCII)
_TICKS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""Guest time, which follows, is part of user time."""
_START = 19
"""Of the words behind the name in /proc/PID/stat: the 22nd field."""


def parse_meminfo(text: str) -> dict[str, int]:
    """/proc/meminfo, bytes by name: those that are read, of some fifty."""
    return {name: int(count) * KIB for name, count in _MEMINFO.findall(text)}


def parse_vmstat(text: str) -> dict[str, int]:
    """/proc/vmstat, counts by name: pages that were swapped, of some two hundred lines."""
    return {name: int(count) for name, count in _SWAPPED.findall(text)}


def parse_cpu(text: str, *, ticks_per_second: int) -> CpuTimes | None:
    """The first line of /proc/stat, of all cores. A core that waits for a disk is idle."""
    line = text.partition("\n")[0]
    if not line.startswith("cpu "):
        return None
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
    booted = _BOOTED.search(text)
    return float(booted[1]) or None if booted else None


def parse_start_ticks(text: str) -> int | None:
    """When a process started, in ticks since boot, by /proc/PID/stat. Its name may hold blanks and parentheses."""
    words = text.rpartition(")")[2].split()
    return whole(words[_START]) if len(words) > _START else None


def parse_resident_pages(text: str) -> int | None:
    """Resident pages, by /proc/PID/statm."""
    words = text.split()
    return whole(words[1]) if len(words) > 1 else None
