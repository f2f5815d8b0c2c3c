"""`fleet incident`: opened and closed at every front, told once. Pure but for the asking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fleet.control.actions.gateways import GatewayNode, Gateways, answered, problems
from fleet.control.actions.graypool import fronts_among
from fleet.errors import FleetError
from fleet.vocabulary.contracts.policy_admin import Incident, IncidentRequest, Incidents
from fleet.vocabulary.names import NodeName


@dataclass(frozen=True, kw_only=True)
class Told:
    """One incident over all fronts. `open_at` are those where it is open; `spent_pico` is the sum."""

    name: str
    by: str
    opened_seconds: float
    until_seconds: float
    closed_seconds: float | None
    spent_pico: int
    open_at: tuple[NodeName, ...]
    known_at: tuple[NodeName, ...]


def is_open(incident: Incident, now_seconds: float) -> bool:
    """Whether money may be spent in its name."""
    return incident.closed_seconds is None and now_seconds < incident.until_seconds


def told(reports: Iterable[Incidents]) -> tuple[Told, ...]:
    """Every incident once, the newest first."""
    found: dict[str, list[tuple[NodeName, Incident, bool]]] = {}
    for report in reports:
        for one in report.incidents:
            entry = (NodeName(report.node), one, is_open(one, report.at_seconds))
            found.setdefault(one.name, []).append(entry)
    every = [_told(name, entries) for name, entries in found.items()]
    return tuple(sorted(every, key=lambda one: (-one.opened_seconds, one.name)))


def incidents_of(
    gateways: Sequence[GatewayNode], doors: Gateways
) -> tuple[tuple[Told, ...], Mapping[NodeName, FleetError]]:
    """All incidents of the last 90 days, and the fronts that did not say."""
    answers = doors.each(fronts_among(gateways), lambda door: door.incidents())
    return told(answered(answers).values()), problems(answers)


def turn_incident(
    gateways: Sequence[GatewayNode], doors: Gateways, asked: IncidentRequest
) -> tuple[Told | None, Mapping[NodeName, FleetError]]:
    """Open or close one at every front; how it stands then (None: no front answered)."""
    answers = doors.each(fronts_among(gateways), lambda door: door.incidents(asked))
    every = told(answered(answers).values())
    return next((one for one in every if one.name == asked.name), None), problems(answers)


def _told(name: str, entries: Sequence[tuple[NodeName, Incident, bool]]) -> Told:
    incidents = [one for _, one, _ in entries]
    closed = [one.closed_seconds for one in incidents]
    return Told(
        name=name,
        by=next((one.by for one in incidents if one.by), ""),
        opened_seconds=min(one.opened_seconds for one in incidents),
        until_seconds=max(one.until_seconds for one in incidents),
        closed_seconds=None if None in closed else max(one for one in closed if one is not None),
        spent_pico=sum(one.spent_pico for one in incidents),
        open_at=tuple(node for node, _, is_open_here in entries if is_open_here),
        known_at=tuple(node for node, _, _ in entries),
    )
