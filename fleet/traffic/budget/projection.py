"""What a month will have cost when it ends, as far as its days so far tell: an interval, or "too early". Pure.

Whole pico-dollars. The days that are over are taken for a sample of those to come: the mean goes on, and the interval
holds both the spread of single days and how little so few days tell of their mean (Student's t, 80 %).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

LEAST_DAYS = 5
"""How many whole days an interval needs."""
_T_90_PERMILLE = (
    *(3078, 1886, 1638, 1533, 1476, 1440, 1415, 1397, 1383, 1372, 1363, 1356, 1350, 1345, 1341),
    *(1337, 1333, 1330, 1328, 1325, 1323, 1321, 1319, 1318, 1316, 1315, 1314, 1313, 1311, 1310),
)
"""The 90th percentile of Student's t by degrees of freedom from 1, times 1,000: four of five months lie within."""


@dataclass(frozen=True, slots=True)
class Projection:
    """Pico-dollars at the end of the month. `low` is never below what is spent already."""

    expected: int
    low: int
    high: int
    days: int


def projection(daily_pico: Sequence[int], today: int) -> Projection | None:
    """From the cost of each day of a month and the number of the running day (1 is the first).

    None = too early: fewer than five days are over, or nothing was spent on them.
    """
    over, spent = daily_pico[: today - 1], sum(daily_pico)
    days, left = len(over), len(daily_pico) - today + 1
    total = sum(over)
    if days < LEAST_DAYS or total <= 0:
        return None
    expected = max(spent, total + -(-total * left // days))
    # With s2 the variance of a day, what is to come varies by left * s2 + left * left * s2 / days.
    squares = days * sum(cost * cost for cost in over) - total * total
    deviation = isqrt(squares * left * (days + left) // (days * days * (days - 1)))
    half = deviation * _T_90_PERMILLE[min(days - 1, len(_T_90_PERMILLE)) - 1] // 1000
    return Projection(expected, max(spent, expected - half), expected + half, days)
