"""Collectors: each reading is timed and fails alone, and what failed is unknown."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.snapshot import CollectorReading

T = TypeVar("T")


class Tier(StrEnum):
    """How often a collector runs. FAST neither forks nor lists processes, and takes some milliseconds at most."""

    FAST = "fast"
    SLOW = "slow"
    DAILY = "daily"


class Collectors:
    """How every collector did when it last ran."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._readings: dict[str, CollectorReading] = {}

    @property
    def readings(self) -> tuple[CollectorReading, ...]:
        """One per name, in the order in which they first ran."""
        return tuple(self._readings.values())

    def collect(self, name: str, read: Callable[[], T], unknown: T, *, tier: Tier = Tier.FAST) -> T:
        """What `read` gives; `unknown`, and the problem on record, when it raises."""
        started = self._clock.monotonic()
        problem: str | None = None
        try:
            value = read()
        except Exception as error:  # noqa: BLE001 (one failing collector never takes the agent or the others down)
            value = unknown
            problem = str(error) or type(error).__name__
        self.note(name, tier=tier, seconds=self._clock.monotonic() - started, problem=problem)
        return value

    def note(self, name: str, *, tier: Tier, seconds: float, problem: str | None) -> None:
        """Put on record how a collector did that ran beside the loop."""
        self._readings[name] = CollectorReading(
            name=name, ok=problem is None, seconds=seconds, problem=problem, tier=tier.value
        )
