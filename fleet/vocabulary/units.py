"""Numbers for people and back. Pure; standard library only."""

from __future__ import annotations

import re
from datetime import timedelta

GIB = 1024**3
MIB = 1024**2
KIB = 1024

_SIZES = {
    "": 1,
    "b": 1,
    "k": KIB,
    "kb": 1000,
    "kib": KIB,
    "m": MIB,
    "mb": 1000**2,
    "mib": MIB,
    "g": GIB,
    "gb": 1000**3,
    "gib": GIB,
    "t": 1024**4,
    "tb": 1000**4,
    "tib": 1024**4,
}
_SPANS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def bytes_text(count: int | None) -> str:
    """`count` bytes as a person reads them: 1.6 GiB. Unknown is `-`, never 0."""
    if count is None:
        return "-"
    if abs(count) < KIB:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= KIB
        if abs(value) < KIB or unit == "TiB":
            break
    return f"{value:.0f} {unit}" if abs(value) >= 100 else f"{value:.1f} {unit}"


def count_text(number: int) -> str:
    """A count in at most five characters: 812M, 1.2B, 950."""
    for size, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            part = number / size
            return f"{part:.0f}{unit}" if part >= 99.95 else f"{part:.1f}{unit}"
    return str(number)


def seconds_text(seconds: float | None) -> str:
    """A span as a person reads it: 350 ms, 4.2 s, 3m 05s, 2h 10m, 5d 3h. Unknown is `-`."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(timedelta(seconds=seconds).total_seconds())
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def parse_bytes(text: str | int) -> int:
    """Bytes from `2GiB`, `512M`, `1.5 GB` or a plain number. Raises ValueError."""
    if isinstance(text, int):
        return text
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    if not match or match[2].lower() not in _SIZES:
        raise ValueError(f"not a size: {text!r} (write it like 2GiB or 512MB)")
    return int(float(match[1]) * _SIZES[match[2].lower()])


def parse_seconds(text: str | float) -> float:
    """Seconds from `30s`, `5m`, `1.5h`, `250ms` or a plain number. Raises ValueError."""
    if isinstance(text, int | float):
        return float(text)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*", text)
    if not match:
        raise ValueError(f"not a span of time: {text!r} (write it like 30s or 5m)")
    return float(match[1]) * _SPANS[match[2] or "s"]
