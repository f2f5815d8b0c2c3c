"""Counts of values in buckets of equal ratio: small, exact to 2 %, and those of several fronts add up.

The buckets are DDSketch's (Masson, Rim, Lee: "DDSketch", VLDB 2019): bucket `i` holds what is above RATIO**(i-1) and at
most RATIO**i. A quantile that is read from them is within 2 % of the true one. What is 0 or less has a bucket of its
own. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

RATIO = 1.04
NOTHING = -(2**31)
"""The bucket of what is 0 or less."""


def bucket_of(value: float) -> int:
    """The bucket of a finite value."""
    return math.ceil(math.log(value) / math.log(RATIO) - 1e-9) if value > 0 else NOTHING


def counted(values: Iterable[float]) -> dict[int, int]:
    """How many values each bucket has."""
    counts: dict[int, int] = {}
    for value in values:
        bucket = bucket_of(value)
        counts[bucket] = counts.get(bucket, 0) + 1
    return counts


def together(many: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """The counts of all."""
    counts: dict[int, int] = {}
    for one in many:
        for bucket, count in one.items():
            counts[bucket] = counts.get(bucket, 0) + count
    return counts


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """The value that `share` (0 to 1) of them do not exceed, within 2 %; None = there is none."""
    total = sum(counts.values())
    if total == 0:
        return None
    wanted = max(math.ceil(share * total), 1)
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= wanted:
            break
    return 0.0 if bucket == NOTHING else 2 * RATIO**bucket / (RATIO + 1)
