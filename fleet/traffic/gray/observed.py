"""What a pool had of the traffic, as screens tell it: never without the number of requests behind it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from fleet.vocabulary.contracts.ledger import Request

_Z_95_PERCENT = 1.959964


@dataclass(frozen=True, slots=True)
class Observed:
    """Of `requests` that an upstream began to answer, `eligible` could have gone gray and `gray` did."""

    gray: int
    eligible: int
    requests: int

    @classmethod
    def of(cls, rows: Iterable[Request]) -> Observed:
        """From the rows of the routes that feed a pool. What nobody was asked for is not counted."""
        gray = eligible = requests = 0
        for row in rows:
            if row.attempts > 0:
                requests += 1
                eligible += row.eligible
                gray += row.gray
        return cls(gray, eligible, requests)

    @property
    def share(self) -> float | None:
        """Gray of all requests: what the cap is about. None when there were none."""
        return self.gray / self.requests if self.requests else None

    @property
    def share_of_eligible(self) -> float | None:
        """Gray of those that could have been."""
        return self.gray / self.eligible if self.eligible else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the share of eligible ones lies, as far as so few tell (Wilson, 95 %). None when there were none."""
        return wilson(self.gray, self.eligible)


def wilson(hits: int, count: int, z: float = _Z_95_PERCENT) -> tuple[float, float] | None:
    """The score interval of `hits` of `count`; None without any, or where they do not fit."""
    if count <= 0 or not 0 <= hits <= count:
        return None
    rate, shrink = hits / count, 1 + z * z / count
    middle = (rate + z * z / (2 * count)) / shrink
    half = z * math.sqrt(rate * (1 - rate) / count + z * z / (4 * count * count)) / shrink
    return max(0.0, min(middle - half, rate)), min(1.0, max(middle + half, rate))
