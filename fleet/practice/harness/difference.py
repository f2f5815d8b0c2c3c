"""How one model is next to another in one respect, and how sure that is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from fleet.practice.harness.bootstrap import Bounds, Measure, bootstrap, sign_test
from fleet.practice.harness.spread import quantile
from fleet.practice.harness.terms import Terms

Pair = tuple[float | None, float | None]
"""A figure of one prompt at A and at B; None where it is unknown."""


class Side(StrEnum):
    """How B is next to A in one respect. `same`: no difference that counts; `unknown`: too little is known."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One respect: `answers`, `tools` (shares: `change` is b - a), `cost`, `p95` (`change` is b / a).

    `low` and `high` bound the change. `cost` is in pico-dollars for asking the common prompts once,
    `p95` in seconds. `count`: prompts that tell. `wins`, `losses`: prompts at which B did better or worse, for shares.
    """

    what: str
    side: Side
    count: int = 0
    a: float | None = None
    b: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    wins: int = 0
    losses: int = 0
    why: str = ""


def shares(what: str, pairs: Sequence[Pair], least: int, terms: Terms) -> Difference:
    """B next to A in a share, where higher is better."""
    known = [(x, y) for x, y in pairs if x is not None and y is not None]
    if len(known) < least:
        why = f"known of {len(known)} prompts at both; {least} are needed"
        return Difference(what=what, side=Side.UNKNOWN, count=len(known), why=why)
    deltas = [y - x for x, y in known]
    change, count = fmean(deltas), len(deltas)
    low, high = _bounds(count, lambda sample: sum(deltas[i] for i in sample) / count, terms)
    wins, losses = sum(delta > 0 for delta in deltas), sum(delta < 0 for delta in deltas)
    sure = sign_test(wins, losses) <= 1 - terms.confidence and abs(change) >= terms.share_margin - 1e-9
    side = Side.BETTER if sure and low > 0 else Side.WORSE if sure and high < 0 else Side.SAME
    unsure = side is Side.SAME and (low > 0 or high < 0)
    return Difference(
        what=what,
        side=side,
        count=count,
        a=fmean(x for x, _ in known),
        b=fmean(y for _, y in known),
        change=change,
        low=low,
        high=high,
        wins=wins,
        losses=losses,
        why=f"{wins} prompts better, {losses} worse: too few to be sure" if unsure else "",
    )


def cost(pairs: Sequence[Pair], terms: Terms) -> Difference:
    """B next to A in what the prompts cost."""
    known = [(x, y) for x, y in pairs if x is not None and y is not None]
    if len(known) < terms.least_prompts:
        why = f"known of {len(known)} prompts at both; {terms.least_prompts} are needed"
        return Difference(what="cost", side=Side.UNKNOWN, count=len(known), why=why)
    a, b, count = sum(x for x, _ in known), sum(y for _, y in known), len(known)
    if not a or not b:
        side = Side.SAME if a == b else Side.BETTER if not b else Side.WORSE
        why = "both are free" if a == b else "it is free" if not b else "the other one is free"
        return Difference(what="cost", side=side, count=count, a=a, b=b, why=why)

    def ratio(sample: Sequence[int]) -> float:
        below = sum(known[i][0] for i in sample)
        return sum(known[i][1] for i in sample) / below if below else float("inf")

    low, high = _bounds(count, ratio, terms)
    side = _beyond(low, high, terms.cost_margin)
    return Difference(what="cost", side=side, count=count, a=a, b=b, change=b / a, low=low, high=high)


def p95(pairs: Sequence[Pair], terms: Terms) -> Difference:
    """B next to A in how long all but the slowest prompts take."""
    known = [(x, y) for x, y in pairs if x is not None and y is not None and x > 0]
    if len(known) < terms.least_prompts:
        why = f"known of {len(known)} prompts at both; {terms.least_prompts} are needed"
        return Difference(what="p95", side=Side.UNKNOWN, count=len(known), why=why)
    count = len(known)

    def of(sample: Sequence[int], side: int) -> float:
        return quantile((known[i][side] for i in sample), 0.95) or 0.0

    low, high = _bounds(count, lambda sample: of(sample, 1) / of(sample, 0), terms)
    a, b = of(range(count), 0), of(range(count), 1)
    side = _beyond(low, high, terms.p95_margin)
    return Difference(what="p95", side=side, count=count, a=a, b=b, change=b / a, low=low, high=high)


def _beyond(low: float, high: float, margin: float) -> Side:
    return Side.BETTER if high < 1 - margin else Side.WORSE if low > 1 + margin else Side.SAME


def _bounds(count: int, measure: Measure, terms: Terms) -> Bounds:
    (bounds,) = bootstrap(count, [measure], resamples=terms.resamples, confidence=terms.confidence, seed=terms.seed)
    return bounds
