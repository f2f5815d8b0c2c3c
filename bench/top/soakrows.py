"""What a leak run found: `bench/results/top-soak.json` is one `Soak`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.demand import Demand
from bench.top.slope import settled, slope

WARM_UP = 0.2
"""This part of a run is left out of the verdict: in it everything is met for the first time."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The process, so many seconds after the beginning, from outside."""

    at_seconds: float
    resident_mb: float
    threads: int
    descriptors: int


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """The objects of the process, so many seconds after the beginning."""

    at_seconds: float
    objects: int


class Soak(msgspec.Struct, frozen=True, kw_only=True):
    """One run of so many seconds. `rounds` through all screens, `happened`: things that were done to the fleet."""

    date: str
    seconds: float
    machine: dict[str, str]
    versions: dict[str, str]
    nodes: int
    rounds: int
    happened: int
    cpu_percent: float
    most_mb: float
    samples: tuple[Sample, ...]
    counts: tuple[Count, ...] = ()
    grown: dict[str, int] = {}
    """Types of which there were more at the end than after the warm-up, and by how many."""
    schema: int = 1

    def per_hour(self, name: str) -> float | None:
        """How much more of it there is after an hour. None in a run that is too short to tell."""
        rows: tuple[Sample | Count, ...] = self.counts if name == "objects" else self.samples
        return slope(settled([(one.at_seconds, getattr(one, name)) for one in rows], after=WARM_UP))


def _hourly(name: str) -> Callable[[Soak], float | None]:
    return lambda soak: soak.per_hour(name)


DEMANDS: tuple[Demand[Soak], ...] = (
    Demand("itself", "resident memory grows by", " MB/h", _hourly("resident_mb"), 1.0),
    Demand("itself", "objects grow by", "/h", _hourly("objects"), 500.0),
    Demand("itself", "threads grow by", "/h", _hourly("threads"), 0.5),
    Demand("itself", "descriptors grow by", "/h", _hourly("descriptors"), 0.5),
    Demand("itself", "most memory", " MB", lambda soak: soak.most_mb, 80.0),
)


def load(path: Path) -> Soak:
    """Raises msgspec.MsgspecError and OSError."""
    return msgspec.json.decode(path.read_bytes(), type=Soak)


def save(path: Path, soak: Soak) -> None:
    """As JSON that a person can compare."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(soak), indent=1) + b"\n")
