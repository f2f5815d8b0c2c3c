"""Quantiles of few values, and how far a share can be believed. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

_Z_95_PERCENT = 1.959964


def quantile(values: Iterable[float], share: float) -> float | None:
    """The smallest of `values` that `share` of them do not exceed (nearest rank); None without any."""
    known = sorted(values)
    return known[max(math.ceil(share * len(known)), 1) - 1] if known else None


def interval(share: float, count: int, z: float = _Z_95_PERCENT) -> tuple[float, float] | None:
    """Wilson's score interval of a share that was observed over `count`; None without any.

    `share` may be the mean of several tries of each of `count` prompts: tries of one prompt are no new prompts, so the
    interval is that of single tries.
    """
    if count <= 0 or not 0.0 <= share <= 1.0:
        return None
    shrink = 1 + z * z / count
    middle = (share + z * z / (2 * count)) / shrink
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / shrink
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))
