"""What a node's raw readings say to one upstream: the signs that cost it new work. Pure.

These are raw levels, judged by traffic/wellness.py with its own short hysteresis. Health for people is another matter
(vocabulary/health): slower, and with words for every check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from fleet.traffic.config import Upstream
from fleet.vocabulary.contracts.snapshot import SidecarReading, Snapshot
from fleet.vocabulary.wired import headroom_bytes

QUARANTINED = "quarantined"
"""The state of CareReading in which a model is to get nothing."""


class Sign(StrEnum):
    """What a node is judged by. The word stands in `x-fleet-avoided` and in metrics."""

    QUARANTINE = "quarantine"
    HEADROOM = "headroom"
    SWAPOUT = "swapout"
    PACE = "pace"
    PRESSURE = "pressure"
    THERMAL = "thermal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """One sample of a node, as it matters to one upstream. None = unknown, which says nothing.

    `sampled_at_seconds` is by the node's own clock: it only tells one sample from another. `heard_at` is when this
    sample came for the first time (monotonic). `pace_ratio` is the recent one of the sidecar that serves the upstream's
    model: unknown while nothing is answered there, so that who gets no work for it is tried again after a while.
    """

    sampled_at_seconds: float
    heard_at: float
    headroom_bytes: int | None = None
    swapout_bytes_per_second: float | None = None
    pace_ratio: float | None = None
    pressure_level: int | None = None
    thermal_level: int | None = None
    quarantined: bool | None = None
    quarantined_for: str = ""


def signs_of(snapshot: Snapshot, upstream: Upstream, *, heard_at: float) -> Signs:
    """The signs in a snapshot of the node of `upstream`."""
    cars = _serving(snapshot.sidecars, upstream)
    paces = [car.recent_pace_ratio for car in cars if car.recent_pace_ratio is not None]
    cares = [car.care for car in cars if car.care is not None]
    held = [care.reason for care in cares if care.state == QUARANTINED]
    return Signs(
        sampled_at_seconds=snapshot.at_seconds,
        heard_at=heard_at,
        headroom_bytes=headroom_bytes(snapshot.memory),
        swapout_bytes_per_second=snapshot.swap.swapout_bytes_per_second,
        pace_ratio=max(paces, default=None),  # among several an edge itself prefers the fast one
        pressure_level=snapshot.memory.pressure_level,
        thermal_level=snapshot.thermal.pressure_level,
        quarantined=len(held) == len(cars) if cares else None,
        quarantined_for=next(filter(None, held), ""),
    )


def _serving(cars: Sequence[SidecarReading], upstream: Upstream) -> list[SidecarReading]:
    """The sidecars that answer what is sent to `upstream`: its own by its port, an edge's by the model."""
    if upstream.kind == "sidecar":
        port = urlsplit(upstream.url).port
        return [car for car in cars if car.port == port]
    return [car for car in cars if car.model in (upstream.model, upstream.serves)]
