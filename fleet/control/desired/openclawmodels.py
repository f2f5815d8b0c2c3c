"""The routes of a front as OpenClaw is offered them: how long a prompt may be, and what it costs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from fleet.clients.openclaw import Cost, OfferedModel
from fleet.control.inventory.nearest import did_you_mean
from fleet.control.playbook.playbook import Task
from fleet.control.playbook.tasks import OpenClawDaemon
from fleet.errors import PlaybookError
from fleet.traffic.config import GatewayConfig, Route, Upstream
from fleet.vocabulary.names import Track

_MILLION = 1_000_000


def offered_models(action: OpenClawDaemon, offered: GatewayConfig, task: Task) -> Iterator[OfferedModel]:
    """The routes that it is offered: those of the task, in its order, else all that a chat may go to."""
    upstreams = {upstream.name: upstream for upstream in offered.upstreams}
    routes = {route.name: route for route in offered.routes}
    for name in action.models:
        if name not in routes:
            hint = did_you_mean(name, routes) or f"there is: {', '.join(routes) or 'none'}"
            raise PlaybookError(f"{task.name}: models: the front has no route {name!r}", place=task.place, hint=hint)
    for name in action.models or [name for name, route in routes.items() if _chats(route, upstreams)]:
        yield _offered(routes[name], upstreams, own=action.models.get(name, {}))


def _chats(route: Route, upstreams: Mapping[str, Upstream]) -> bool:
    works = [upstreams[name].works for name in route.upstreams]
    return route.track is not Track.GRAY and any(work is None or "chat" in work for work in works)


def _offered(route: Route, upstreams: Mapping[str, Upstream], *, own: Mapping[str, Any]) -> OfferedModel:
    """A longer prompt than the first upstream takes goes to the next one that can: the longest context counts."""
    chosen = [upstreams[name] for name in route.upstreams]
    contexts = [one.context_tokens for one in chosen if one.context_tokens is not None]
    return OfferedModel(
        route=route.name,
        context_tokens=max(contexts, default=None),
        cost=_cost(chosen[0]) if chosen else None,
        own=own,
    )


def _cost(upstream: Upstream) -> Cost | None:
    """What the preferred upstream costs: nothing on machines of one's own; None where nobody said."""
    if upstream.kind != "api":
        return Cost(prompt=0.0, completion=0.0)
    price = upstream.price
    if price is None:
        return None
    cached = None if price.cached is None else _per_million(price.cached)
    return Cost(prompt=_per_million(price.prompt), completion=_per_million(price.completion), cached=cached)


def _per_million(usd_per_token: str) -> float:
    return float(Decimal(usd_per_token) * _MILLION)
