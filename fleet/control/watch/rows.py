"""What was seen of each node, as rows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Protocol, TypeVar

import msgspec

from fleet.control.watch.view import Concern, FleetView, NodeRow, Reach, ServedModel
from fleet.vocabulary.contracts.gateway_admin import NodeIntent
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.health.check import worst
from fleet.vocabulary.health.sample import Sample, Silence, freshness_of
from fleet.vocabulary.health.state import Fault, NodeState
from fleet.vocabulary.health.step import faults, step
from fleet.vocabulary.names import Health, Intent, NodeName
from fleet.vocabulary.wired import headroom_bytes

N = TypeVar("N", int, float)
NO_STATES: Mapping[str, NodeState] = MappingProxyType({})


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
    """What one attempt at a node brought: a snapshot, or the reason why there is none.

    `via` is the front that said it, "" = the node itself. `heard` is what a front remembers of one that is silent.
    """

    node: NodeName
    reach: Reach
    seen: Seen | None = None
    problem: str | None = None
    hint: str | None = None
    intent: NodeIntent | None = None
    via: str = ""
    heard: Seen | None = None


def look_of(sighting: Sighting) -> Sample | Silence | None:
    """What this sighting says about health; nothing, of a node that was not tried."""
    if sighting.seen is not None:
        return sample_of(sighting.seen)
    if sighting.reach is Reach.NOT_ADOPTED:
        return None
    return Silence(agent_only=sighting.reach is Reach.AGENT_SILENT, problem=sighting.problem or "")


def sample_of(seen: Seen) -> Sample:
    """A snapshot as the checks read it."""
    return Sample(at_seconds=seen.at.timestamp(), snapshot=seen.snapshot)


def row_of(
    node: WatchedNode, sighting: Sighting, last_seen: Seen | None, now: datetime, *, state: NodeState | None = None
) -> NodeRow:
    """The row of one node. A failed attempt shows what was seen last, with its age.

    Without a `state` the sample is judged as it stands, as at a first look.
    """
    seen = sighting.seen or last_seen
    age = max(0.0, (now - seen.at).total_seconds()) if seen else None
    freshness = freshness_of(age, answered=sighting.reach is Reach.ANSWERED)
    if state is None and seen:
        state, _ = step(NodeState(node=node.name), sample_of(seen), seen.at.timestamp())
    concerns = tuple(_concern(fault) for fault in faults(state, of_machine=True)) if state and seen else ()
    silent = sighting.reach is not Reach.ANSWERED
    if sighting.reach is Reach.AGENT_SILENT:
        concerns = (_silence(sighting, state), *concerns)
    health = worst(concern.health for concern in concerns) if seen or concerns else Health.UNKNOWN
    worst_one = concerns[0] if concerns else None
    return msgspec.structs.replace(
        _readings(node, seen.snapshot if seen else None),
        freshness=freshness,
        health=health,
        intent=intent_of(sighting.intent),
        reach=sighting.reach,
        via=sighting.via,
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
    *,
    states: Mapping[str, NodeState] = NO_STATES,
    laptop_problem: str = "",
) -> FleetView:
    """Every node's row, in the order of the inventory."""
    rows = []
    for node in nodes:
        unasked = Sighting(node=node.name, reach=Reach.UNREACHABLE, problem="not asked")
        sighting = sightings.get(node.name, unasked)
        rows.append(row_of(node, sighting, last_seen.get(node.name), now, state=states.get(node.name)))
    return FleetView(at=now, rows=tuple(rows), laptop_problem=laptop_problem)


def intent_of(told: NodeIntent | None) -> Intent:
    """The intent of a node by those of its sidecars. Of a gateway that did not say: serving."""
    intents = {one.intent for one in told.sidecars} if told else set()
    if Intent.DRAINING in intents:
        return Intent.DRAINING
    return Intent.DRAINED if intents == {Intent.DRAINED} else Intent.SERVING


def _silence(sighting: Sighting, state: NodeState | None) -> Concern:
    text = f"the agent is silent: {sighting.problem or 'no reason given'}"
    told = [fault for fault in faults(state) if fault.check == Reach.AGENT_SILENT] if state else []
    own = Concern(code="agent_silent", health=Health.CRITICAL, text=text, hint=sighting.hint or "")
    if not told:
        return own
    return msgspec.structs.replace(own, since=_time(told[0].since_seconds), next=told[0].next)


def _concern(fault: Fault) -> Concern:
    gone = fault.clear_since_seconds
    return Concern(
        code=fault.code,
        health=fault.health,
        text=fault.text,
        hint=fault.do,
        subject=fault.subject,
        since=_time(fault.since_seconds),
        next=fault.next,
        gone_since=None if gone is None else _time(gone),
    )


def _known(of: Callable[[list[N]], N], readings: Iterable[N | None]) -> N | None:
    """Sum, least or most of what is known; None of nothing."""
    known = [reading for reading in readings if reading is not None]
    return of(known) if known else None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


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
        tokens_per_second=_known(sum, (car.decode_tokens_per_second for car in snapshot.sidecars)),
        pace_ratio=_known(min, (car.pace_ratio for car in snapshot.sidecars)),
        first_token_seconds=_known(max, (car.first_token_seconds for car in snapshot.sidecars)),
        in_flight=_known(sum, (car.in_flight for car in snapshot.sidecars)),
        pressure_level=snapshot.memory.pressure_level,
        thermal_level=snapshot.thermal.pressure_level,
        wired_headroom_bytes=headroom_bytes(snapshot.memory),
        wired_limit_bytes=snapshot.memory.wired_limit_bytes,
        memory_total_bytes=snapshot.memory.total_bytes,
        swap_used_bytes=snapshot.swap.used_bytes,
        swapout_bytes_per_second=snapshot.swap.swapout_bytes_per_second,
        boot_time_seconds=snapshot.boot_time_seconds,
        sampled_at_seconds=snapshot.at_seconds,
        os_version=snapshot.os_version,
        chip=snapshot.chip,
    )
