"""What the status page shows: `/v1/status`. Pure. Live requests only for a key with the scope `admin`."""

from __future__ import annotations

import msgspec

from fleet.node.gateway.metrics_view import GatewayView
from fleet.node.gateway.metrics_window import Lately
from fleet.vocabulary.contracts.gateway_admin import LiveRequest, RouteReport, UpstreamReport
from fleet.vocabulary.names import Track


class UpstreamStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream. `state`: ready, full, unknown, draining, drained or down. `standing`: full, less or none."""

    name: str
    node: str
    kind: str
    model: str
    state: str
    reason: str = ""
    in_flight: int = 0
    max_in_flight: int = 0
    standing: str = "full"


class RouteStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One route. `state`: ready, degraded (some of its upstreams cannot serve), full, starting, draining or down."""

    name: str
    track: Track
    state: str
    reason: str = ""
    models: tuple[str, ...] = ()
    upstreams: tuple[UpstreamStatus, ...] = ()


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The last minute or hour. Without a request there is no share, without an answer no percentile."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    error_ratio: float | None = None
    first_token_p50_seconds: float | None = None
    first_token_p95_seconds: float | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway at a glance. `requests` is None for a key without the scope `admin`."""

    node: str
    role: str
    version: str
    state: str
    uptime_seconds: float
    config_sha256: str
    minute: Span
    hour: Span
    config_problem: str = ""
    in_flight: int = 0
    queued: int = 0
    routes: tuple[RouteStatus, ...] = ()
    requests: tuple[LiveRequest, ...] | None = None
    schema: int = 1


def status_of(
    view: GatewayView, *, minute: Lately, hour: Lately, requests: tuple[LiveRequest, ...] | None = None
) -> Status:
    """The status of the gateway of `view`."""
    routes = tuple(_route(route) for route in view.routes)
    return Status(
        node=view.node,
        role=view.role,
        version=view.version,
        state="draining" if view.draining else overall(tuple(route.state for route in routes)),
        uptime_seconds=view.uptime_seconds,
        config_sha256=view.config_sha256,
        config_problem=view.config_problem,
        in_flight=sum(view.phases.values()),
        queued=sum(view.waiting.values()),
        minute=_span(minute),
        hour=_span(hour),
        routes=routes,
        requests=requests,
    )


def route_state(states: tuple[str, ...]) -> str:
    """One word for a route whose upstreams are in these states."""
    if not states:
        return "down"
    able = [state for state in states if state in ("ready", "full")]
    if able:
        if all(state == "full" for state in able):
            return "full"
        return "ready" if len(able) == len(states) else "degraded"
    if "unknown" in states:
        return "starting"
    return "down" if "down" in states else "draining"


def overall(states: tuple[str, ...]) -> str:
    """One word for a gateway whose routes are in these states: ready, degraded, starting, draining or down."""
    if not states:
        return "down"
    if all(state in ("ready", "full") for state in states):
        return "ready"
    if len(set(states)) == 1:
        return states[0]
    return "degraded" if any(state in ("ready", "full", "degraded") for state in states) else "down"


def _route(route: RouteReport) -> RouteStatus:
    state = route_state(tuple(one.state for one in route.upstreams))
    why = [f"{one.name}: {one.reason or one.state}" for one in route.upstreams if one.state != "ready"]
    return RouteStatus(
        name=route.name,
        track=route.track,
        state=state,
        reason="" if state == "ready" else "; ".join(why) or "no upstream is configured",
        models=tuple(dict.fromkeys(one.serves for one in route.upstreams)),
        upstreams=tuple(_upstream(one) for one in route.upstreams),
    )


def _upstream(one: UpstreamReport) -> UpstreamStatus:
    return UpstreamStatus(
        name=one.name,
        node=one.node,
        kind=one.kind,
        model=one.serves,
        state=one.state,
        reason=_standing_text(one) or ("" if one.state in ("ready", "full", one.reason) else one.reason),
        in_flight=one.in_flight,
        max_in_flight=one.max_in_flight,
        standing=one.standing,
    )


def _standing_text(one: UpstreamReport) -> str:
    """What its node's health costs an upstream that could serve, for people; "" = nothing."""
    if one.standing == "full" or one.state not in ("ready", "full", "unknown"):
        return ""
    costs = "no new work while others serve" if one.standing == "none" else "half as much at once, after the others"
    return f"{costs}: {'; '.join(one.unwell) or 'its node is unwell'}"


def _span(lately: Lately) -> Span:
    return Span(
        requests=lately.requests,
        prompt_tokens=lately.prompt_tokens,
        completion_tokens=lately.completion_tokens,
        error_ratio=lately.errors / lately.requests if lately.requests else None,
        first_token_p50_seconds=lately.first_token_p50_seconds,
        first_token_p95_seconds=lately.first_token_p95_seconds,
    )
