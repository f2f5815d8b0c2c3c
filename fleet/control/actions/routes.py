"""`fleet route`: the routes of a front, and where a request would go now. The front itself says both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from fleet.control.actions.gateways import AdminDoor, GatewayNode, Gateways, NodeRefusal
from fleet.errors import FleetError, UsageError
from fleet.vocabulary.names import NodeName

T = TypeVar("T")


def fronts_of(found: Sequence[GatewayNode], *, named: str | None) -> tuple[GatewayNode, ...]:
    """The gateways to ask, in this order: all fronts, or the one that is named (an edge has routes, too).

    Raises UsageError.
    """
    if named is not None:
        chosen = tuple(gateway for gateway in found if gateway.name == named)
        if not chosen:
            known = ", ".join(gateway.name for gateway in found) or "none"
            raise UsageError(f"the playbook gives {named} no gateway", hint=f"nodes with one: {known}")
        return chosen
    fronts = tuple(gateway for gateway in found if gateway.is_front)
    if not fronts:
        raise UsageError(
            "the playbook makes no node a front", hint="a task `daemon: {service: gateway, role: front}` does"
        )
    return fronts


def first_answer(
    fronts: Sequence[GatewayNode], doors: Gateways, work: Callable[[AdminDoor], T]
) -> tuple[T, dict[NodeName, FleetError]]:
    """What the first front says that can be asked, and why those before it could not.

    Raises the error of the first when none can; a front that refuses the request itself ends the search.
    """
    errors: dict[NodeName, FleetError] = {}
    for gateway in fronts:
        try:
            return doors.one(gateway.node, work), errors
        except NodeRefusal as refusal:
            if refusal.status in (400, 404, 413):
                raise
            errors[gateway.name] = refusal
        except FleetError as error:
            error.node = error.node or gateway.name
            errors[gateway.name] = error
    raise next(iter(errors.values()))
