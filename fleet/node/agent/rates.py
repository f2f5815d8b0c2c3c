"""Rates and ratios from two readings of a counter. Pure."""

from __future__ import annotations

from fleet.node.agent.reading import CpuTimes


def per_second(before: int | None, after: int | None, seconds: float) -> float | None:
    """How fast a counter rose. Unknown for a first reading, and when it fell: the machine was booted again."""
    if before is None or after is None or after < before or seconds <= 0:
        return None
    return (after - before) / seconds


def busy_ratio(before: CpuTimes | None, after: CpuTimes | None) -> float | None:
    """The busy part of the time between two readings, 0-1."""
    if before is None or after is None:
        return None
    busy, total = after.busy_seconds - before.busy_seconds, after.total_seconds - before.total_seconds
    return busy / total if total > 0 and 0 <= busy <= total else None
