"""What was seen of each node, as rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from fleet.control.watch.rules import concerns_of, worst
from fleet.control.watch.view import Concern, FleetView, NodeRow, Reach, ServedModel
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.names import Freshness, Health, NodeName

STALE_AFTER_SECONDS = 15.0
"""Three missed samples."""
OFFLINE_AFTER_SECONDS = 60.0


class WatchedNode(Protocol):
    """What a row needs of a node of the inventory."""

    @property
    def name(self) -> NodeName:
        """Its name."""
        ...

    @property
    def groups(self) -> tuple[str, ...]:
        """Its groups, deepest last."""
        ...


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A snapshot, and when its sample was taken by the laptop's clock."""

    at: datetime
    snapshot: Snapshot


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What one attempt at a node brought: a snapshot, or the reason why there is none."""

    node: NodeName
    reach: Reach
    seen: Seen | None = None
    problem: str | None = None
    hint: str | None = None


def freshness_of(age_seconds: float | None, reach: Reach) -> Freshness:
    """How much the last sample is worth. A node that did not answer just now is at best stale."""
    if age_seconds is None:
        return Freshness.NEVER_SEEN
    if age_seconds > OFFLINE_AFTER_SECONDS:
        return Freshness.OFFLINE
    if age_seconds > STALE_AFTER_SECONDS or reach is not Reach.ANSWERED:
        return Freshness.STALE
    return Freshness.LIVE


def row_of(node: WatchedNode, sighting: Sighting, last_seen: Seen | None, now: datetime) -> NodeRow:
    """The row of one node. A failed attempt shows what was seen last, with its age."""
    seen = sighting.seen or last_seen
    age = max(0.0, (now - seen.at).total_seconds()) if seen else None
    freshness = freshness_of(age, sighting.reach)
    concerns = concerns_of(seen.snapshot) if seen else ()
    row = _readings(node, seen.snapshot if seen else None)
    silent = sighting.reach is not Reach.ANSWERED
    if sighting.reach is Reach.AGENT_SILENT:
        own = Concern(
            code="agent_silent",
            health=Health.CRITICAL,
            text=f"the agent is silent: {sighting.problem or 'no reason given'}",
            hint=sighting.hint or "",
        )
        concerns = (own, *concerns)
    health = worst(concern.health for concern in concerns) if seen or concerns else Health.UNKNOWN
    worst_one = concerns[0] if concerns else None
    return msgspec.structs.replace(
        row,
        freshness=freshness,
        health=health,
        reach=sighting.reach,
        age_seconds=age,
        concerns=concerns,
        problem=sighting.problem if silent else (worst_one.text if worst_one else None),
        hint=(sighting.hint if silent else (worst_one.hint if worst_one else None)) or None,
    )


def view_of(
    nodes: Iterable[WatchedNode],
    sightings: Mapping[NodeName, Sighting],
    last_seen: Mapping[NodeName, Seen],
    now: datetime,
) -> FleetView:
    """Every node's row, in the order of the inventory."""
    rows = []
    for node in nodes:
        unasked = Sighting(node=node.name, reach=Reach.UNREACHABLE, problem="not asked")
        rows.append(row_of(node, sightings.get(node.name, unasked), last_seen.get(node.name), now))
    return FleetView(at=now, rows=tuple(rows))


def _readings(node: WatchedNode, snapshot: Snapshot | None) -> NodeRow:
    groups = tuple(group for group in node.groups if group not in ("all", "ungrouped"))
    if snapshot is None:
        return NodeRow(node=node.name, groups=groups)
    return NodeRow(
        node=node.name,
        groups=groups,
        services_up=sum(1 for service in snapshot.services if service.up),
        services_total=len(snapshot.services),
        models=tuple(ServedModel(name=car.model, sidecar=car.name, ready=car.ready) for car in snapshot.sidecars),
        pressure_level=snapshot.memory.pressure_level,
        thermal_level=snapshot.thermal.pressure_level,
        wired_headroom_bytes=snapshot.memory.wired_headroom_bytes,
        wired_limit_bytes=snapshot.memory.wired_limit_bytes,
        memory_total_bytes=snapshot.memory.total_bytes,
        swap_used_bytes=snapshot.swap.used_bytes,
        swapout_bytes_per_second=snapshot.swap.swapout_bytes_per_second,
        boot_time_seconds=snapshot.boot_time_seconds,
        os_version=snapshot.os_version,
        chip=snapshot.chip,
    )
