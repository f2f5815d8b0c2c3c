"""Readings over time as a block of text. Pure. A time without a reading is blank; the scale is stated, not fitted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_EIGHTHS = " ▁▂▃▄▅▆▇█"


def buckets(
    points: Iterable[tuple[float, float]], *, start: float, end: float, width: int, step: float
) -> list[float | None]:
    """`width` means over equal spans from `start` to `end`; None where nothing was read.

    A reading holds for `step` seconds from its time on: where a column is less than that, it fills several.
    """
    sums, counts = [0.0] * width, [0] * width
    span = max(end - start, 1e-9) / width
    for at, value in points:
        if start <= at < end:
            first = min(width - 1, int((at - start) / span))
            last = max(first, min(width - 1, int((at + step - start) / span - 1e-9)))
            for place in range(first, last + 1):
                sums[place] += value
                counts[place] += 1
    return [total / count if count else None for total, count in zip(sums, counts, strict=True)]


def plot(values: Sequence[float | None], *, height: int, low: float, high: float, unicode: bool = True) -> list[str]:
    """`height` lines, the highest first, one column a value. What is known is at least a thin line: 0 is a reading."""
    reach = max(high - low, 1e-9)
    most = height * 8
    levels = [None if value is None else max(1, min(most, round((value - low) / reach * most))) for value in values]
    lines = []
    for row in range(height - 1, -1, -1):
        drawn = []
        for level in levels:
            part = 0 if level is None else max(0, min(8, level - row * 8))
            drawn.append(_EIGHTHS[part] if unicode else "#" if part > 4 else "_" if part else " ")
        lines.append("".join(drawn))
    return lines
