"""Paired statistics over prompts: how sure a difference is. Pure and repeatable: one input has one result."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence

Measure = Callable[[Sequence[int]], float]
"""A figure over some of the prompts, by their index; the same one may be there several times."""


def bootstrap(count: int, measures: Sequence[Measure], *, resamples: int, confidence: float, seed: int) -> list[Bounds]:
    """The percentile interval of every measure, over the same resamples of `count` prompts."""
    drawn: list[list[float]] = [[] for _ in measures]
    for sample in samples(count, resamples, seed):
        for values, measure in zip(drawn, measures, strict=True):
            values.append(measure(sample))
    return [_middle(values, confidence) for values in drawn]


Bounds = tuple[float, float]


def samples(count: int, resamples: int, seed: int) -> Iterator[list[int]]:
    """So many draws of `count` out of `count`, with replacement; the same ones for the same seed."""
    draw = random.Random(seed).random  # noqa: S311 (statistics, not secrets)
    for _ in range(resamples):
        yield [int(draw() * count) for _ in range(count)]


def sign_test(wins: int, losses: int) -> float:
    """How likely so uneven a split is when both are alike: exact, two-sided (McNemar's). 1 without any."""
    count = wins + losses
    if count == 0:
        return 1.0
    tail = sum(math.comb(count, k) for k in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / float(2**count))


def _middle(values: list[float], confidence: float) -> Bounds:
    values.sort()
    cut = min(int((1 - confidence) / 2 * len(values)), (len(values) - 1) // 2)
    return values[cut], values[len(values) - 1 - cut]
