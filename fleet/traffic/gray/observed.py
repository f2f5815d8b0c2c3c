"""How far a share that was observed can be believed, by how many it was observed of. Pure."""

from __future__ import annotations

import math

_Z_95_PERCENT = 1.959964


def wilson(hits: int, count: int, z: float = _Z_95_PERCENT) -> tuple[float, float] | None:
    """The score interval of `hits` of `count`; None without any, or where they do not fit."""
    if count <= 0 or not 0 <= hits <= count:
        return None
    rate, shrink = hits / count, 1 + z * z / count
    middle = (rate + z * z / (2 * count)) / shrink
    half = z * math.sqrt(rate * (1 - rate) / count + z * z / (4 * count * count)) / shrink
    return max(0.0, min(middle - half, rate)), min(1.0, max(middle + half, rate))
