"""Collectors: each reading is timed and fails alone, and what failed is unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.snapshot import CollectorReading

T = TypeVar("T")


class Collectors:
    """How every collector did when it last ran."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._readings: dict[str, CollectorReading] = {}

    @property
    def readings(self) -> tuple[CollectorReading, ...]:
        """One per name, in the order in which they first ran."""
        return tuple(self._readings.values())

    def collect(self, name: str, read: Callable[[], T], unknown: T) -> T:
        """What `read` gives; `unknown`, and the problem on record, when it raises."""
        started = self._clock.monotonic()
        problem: str | None = None
        try:
            value = read()
        except Exception as error:  # noqa: BLE001 (one failing collector never takes the agent or the others down)
            value = unknown
            problem = str(error) or type(error).__name__
        seconds = self._clock.monotonic() - started
        self._readings[name] = CollectorReading(name=name, ok=problem is None, seconds=seconds, problem=problem)
        return value
