"""Which upstreams a request may go to, best first. Pure: the gateway, and later `fleet route explain`, ask it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from fleet.traffic.config import Route
from fleet.vocabulary.names import Intent


class Readiness(StrEnum):
    """What the last proof said. An upstream of which nothing is known is tried; one that is down is not."""

    UNKNOWN = "unknown"
    READY = "ready"
    DOWN = "down"


@dataclass(frozen=True, kw_only=True)
class UpstreamState:
    """What choice must know of one upstream now."""

    name: str
    serves: str
    in_flight: int = 0
    max_in_flight: int = 16
    readiness: Readiness = Readiness.UNKNOWN
    intent: Intent = Intent.SERVING
    reason: str = ""

    @property
    def may_serve(self) -> bool:
        """Whether a new request may go there at all."""
        return self.readiness is not Readiness.DOWN and self.intent is Intent.SERVING

    @property
    def has_room(self) -> bool:
        """Whether a new request may go there at once."""
        return self.in_flight < self.max_in_flight


@dataclass(frozen=True, kw_only=True)
class Choice:
    """`attempts`: upstream names, best first. `full`: those that may serve, but not now. `refused`: name -> reason."""

    attempts: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    refused: Mapping[str, str]


def choose(route: Route, states: Mapping[str, UpstreamState]) -> Choice:
    """The upstreams of `route` in the order to try them.

    The route's order is a preference between models; among neighbours that serve the same model, the least loaded one
    comes first (ties: as the route lists them, proven before unproven).
    """
    refused: dict[str, str] = {}
    able: list[UpstreamState] = []
    for name in route.upstreams:
        state = states.get(name)
        if state is None:
            refused[name] = "not configured"
        elif state.intent is not Intent.SERVING:
            refused[name] = state.intent.value
        elif not state.may_serve:
            refused[name] = state.reason or "down"
        else:
            able.append(state)
    ordered: list[UpstreamState] = []
    for _, group in groupby(able, key=lambda state: state.serves):
        ordered += sorted(group, key=_load)
    return Choice(
        attempts=tuple(state.name for state in ordered if state.has_room),
        full=tuple(state.name for state in ordered if not state.has_room),
        refused=refused,
    )


def _load(state: UpstreamState) -> tuple[float, bool]:
    return (state.in_flight / max(state.max_in_flight, 1), state.readiness is not Readiness.READY)
