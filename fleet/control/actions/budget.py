"""`fleet budget`: what all fronts spent this month, asked over SSH and added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleet.control.actions.gateways import GatewayNode, Gateways, answered, problems
from fleet.errors import FleetError, UsageError
from fleet.practice.budget import Budget, summed
from fleet.vocabulary.names import NodeName

__all__ = ["Budget", "budget_of", "summed"]


def budget_of(gateways: Sequence[GatewayNode], doors: Gateways) -> tuple[Budget | None, Mapping[NodeName, FleetError]]:
    """The month of all fronts, and the fronts that did not say. Raises UsageError when there is no front."""
    fronts = [gateway for gateway in gateways if gateway.is_front]
    if not fronts:
        raise UsageError("there is no front", hint="a task `daemon: {service: gateway, role: front}` makes one")
    answers = doors.each(fronts, lambda door: door.budget())
    found = answered(answers)
    return (summed(found.values()) if found else None), problems(answers)
