"""`sysctl`: its `key: value` lines, and the values that have a shape of their own. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fleet.vocabulary.macos.digits import whole

_KEY = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_%-]+)+", re.ASCII)
_UNITS = {"B": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_SIZE = re.compile(r"\b(total|used|free) = ([0-9]{1,15}(?:\.[0-9]{1,6})?)([BKMG])(?![A-Za-z0-9])")
_BOOT = re.compile(r"\bsec = ([0-9]{1,12}), usec = ([0-9]{1,6})\b")
_LOAD = re.compile(r"^\{ ([0-9]{1,6}\.[0-9]{1,3}) ([0-9]{1,6}\.[0-9]{1,3}) ([0-9]{1,6}\.[0-9]{1,3}) \}$")
_WRITTEN = re.compile(r"^(-?[0-9]{1,20}) -> (-?[0-9]{1,20})$")
PRESSURE_LEVELS = frozenset({1, 2, 4})
"""Normal, warning, critical: `kern.memorystatus_vm_pressure_level`. Any other value is unknown (FACTS section 4)."""


@dataclass(frozen=True, kw_only=True)
class SwapUsage:
    """`vm.swapusage`. The total grows by files on demand and is 0 on a Mac that never swapped."""

    total_bytes: int | None = None
    used_bytes: int | None = None
    free_bytes: int | None = None
    encrypted: bool | None = None


def parse_sysctl(text: str) -> dict[str, str]:
    """The values by key of `sysctl KEY...` or `sysctl -a`; a missing key is simply not there.

    Lines of people (`# ...`) and of errors (`sysctl: unknown oid ...`) are skipped. The last of two equal keys wins.
    """
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.partition(": ")
        if separator and _KEY.fullmatch(key):
            values[key] = value.strip()
    return values


def parse_sysctl_values(text: str, keys: Iterable[str]) -> dict[str, str]:
    """The values by key of `sysctl -n KEY...`. None at all unless there is exactly one line per key.

    `-n` prints no names, and leaves out a key that the kernel lacks: a short answer cannot be told apart.
    """
    names, lines = tuple(keys), text.splitlines()
    if len(names) != len(lines):
        return {}
    return {key: line.strip() for key, line in zip(names, lines, strict=True)}


def parse_swapusage(value: str | None) -> SwapUsage:
    """`total = 5120.00M  used = 4454.12M  free = 665.88M  (encrypted)`."""
    if not value:
        return SwapUsage()
    sizes = {name: int(float(number) * _UNITS[unit]) for name, number, unit in _SIZE.findall(value)}
    return SwapUsage(
        total_bytes=sizes.get("total"),
        used_bytes=sizes.get("used"),
        free_bytes=sizes.get("free"),
        encrypted="(encrypted)" in value if sizes else None,
    )


def parse_boottime(value: str | None) -> float | None:
    """Seconds since the epoch from `{ sec = 1784098183, usec = 710968 } Wed Jul 15 ...`."""
    match = _BOOT.search(value or "")
    if not match or not int(match[1]):
        return None
    return int(match[1]) + int(match[2]) / 1_000_000


def parse_loadavg(value: str | None) -> tuple[float, float, float] | None:
    """Load of 1, 5 and 15 minutes from `{ 2.78 3.45 3.39 }`."""
    match = _LOAD.match((value or "").strip())
    return (float(match[1]), float(match[2]), float(match[3])) if match else None


def parse_pressure_level(value: str | None) -> int | None:
    """1, 2 or 4."""
    level = whole(value)
    return level if level in PRESSURE_LEVELS else None


def parse_percent(value: str | None) -> float | None:
    """A ratio 0-1 from a whole percentage, as `kern.memorystatus_level` has it."""
    percent = whole(value)
    return percent / 100 if percent is not None and 0 <= percent <= 100 else None


def parse_written(value: str | None) -> tuple[int, int] | None:
    """Before and after, from what a write echoes: `0 -> 14000`."""
    match = _WRITTEN.match((value or "").strip())
    return (int(match[1]), int(match[2])) if match else None
