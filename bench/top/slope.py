"""How fast something grows, when it is told apart from noise: the median of the slopes between points. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

Point = tuple[float, float]
"""Seconds, and what was read."""


def slope(points: Sequence[Point]) -> float | None:
    """Growth in an hour (Theil and Sen); None for fewer than two times.

    Every point is taken with the one that lies half of them later: pairs that are near to each other tell of noise.
    """
    ordered = sorted(points)
    half = len(ordered) // 2
    pairs = zip(ordered, ordered[half:], strict=False)
    found = [(late[1] - early[1]) / (late[0] - early[0]) for early, late in pairs if late[0] > early[0]]
    return 3600.0 * statistics.median(found) if found else None


def settled(points: Sequence[Point], *, after: float) -> list[Point]:
    """Those of the part of the time after `after` (0 to 1): what comes once, such as a first visit, is no leak."""
    if not points:
        return []
    first, last = min(points)[0], max(points)[0]
    return [point for point in points if point[0] >= first + after * (last - first)]
