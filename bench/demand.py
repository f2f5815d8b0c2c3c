"""A demand on a run and the verdict of one. Pure. What was not measured is not met."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")


@dataclass(frozen=True)
class Demand(Generic[R]):
    """`measure` gives None for what a run does not know. `most` is the bound, and may be reached."""

    against: str
    text: str
    unit: str
    measure: Callable[[R], float | None]
    most: float

    @property
    def bound(self) -> str:
        """As people write it."""
        return f"≤ {self.most:g}{self.unit}"


@dataclass(frozen=True)
class Verdict(Generic[R]):
    """One demand and what a run says of it."""

    demand: Demand[R]
    measured: float | None

    @property
    def holds(self) -> bool:
        """Whether it is met."""
        return self.measured is not None and not math.isnan(self.measured) and self.measured <= self.demand.most

    @property
    def shown(self) -> str:
        """The measured value as people write it."""
        if self.measured is None:
            return "not measured"
        return f"{self.measured:.3g}{self.demand.unit}"


def judge(demands: Sequence[Demand[R]], results: R) -> tuple[Verdict[R], ...]:
    """What the run says of each."""
    return tuple(Verdict(demand, demand.measure(results)) for demand in demands)


def field(row: object | None, name: str) -> float | None:
    """A figure of a row; None where there is no such row, or it does not know."""
    value: float | None = None if row is None else getattr(row, name)
    return value


def ratio(above: float | None, below: float | None) -> float | None:
    """None where one is not known, or there is nothing to compare with."""
    if above is None or below is None or below <= 0:
        return None
    return above / below
