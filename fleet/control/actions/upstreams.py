"""The upstreams of all fronts, each once. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fleet.vocabulary.contracts.gateway_admin import RouteReports, UpstreamReport
from fleet.vocabulary.names import NodeName

STATES = ("ready", "unknown", "full", "draining", "drained", "down")
"""From the best to the worst."""
_STANDINGS = ("full", "less", "none")


@dataclass(frozen=True, kw_only=True)
class UpstreamNow:
    """One upstream. `state` is the worst of what the `fronts` that know it say, and `reason` says why.

    `in_flight` is what these fronts sent there and wait for; 0 in `max_in_flight` = no bound. `routes` may go there.
    """

    name: str
    serves: str
    kind: str
    state: str
    node: str = ""
    reason: str = ""
    standing: str = "full"
    unwell: tuple[str, ...] = ()
    in_flight: int = 0
    max_in_flight: int = 0
    routes: tuple[str, ...] = ()
    fronts: tuple[NodeName, ...] = ()


def upstreams_of(reports: Iterable[RouteReports]) -> tuple[UpstreamNow, ...]:
    """In the order in which routes prefer them."""
    said: dict[str, dict[NodeName, UpstreamReport]] = {}
    routes: dict[str, dict[str, None]] = {}
    for report in reports:
        for route in report.routes:
            for one in route.upstreams:
                said.setdefault(one.name, {})[NodeName(report.node)] = one
                routes.setdefault(one.name, {})[route.name] = None
    return tuple(_now(by_front, tuple(routes[name])) for name, by_front in said.items())


def _now(by_front: dict[NodeName, UpstreamReport], routes: tuple[str, ...]) -> UpstreamNow:
    every = tuple(by_front.values())
    worst = max(every, key=lambda one: _place(STATES, one.state))
    least = max(every, key=lambda one: _place(_STANDINGS, one.standing))
    return UpstreamNow(
        name=worst.name,
        serves=worst.serves,
        kind=worst.kind,
        state=worst.state,
        node=worst.node,
        reason=worst.reason,
        standing=least.standing,
        unwell=least.unwell,
        in_flight=sum(one.in_flight for one in every),
        max_in_flight=max(one.max_in_flight for one in every),
        routes=routes,
        fronts=tuple(by_front),
    )


def _place(order: tuple[str, ...], word: str) -> int:
    """A word of a newer release is as bad as unknown."""
    return order.index(word) if word in order else 1
