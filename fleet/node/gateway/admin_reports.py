"""Upstreams and routes as the operator sees them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleet.node.gateway.upstreams import LiveUpstream
from fleet.traffic.choice import Readiness, UpstreamState, Why, keeps_out, sentence
from fleet.traffic.config import Route
from fleet.traffic.work import Shape
from fleet.vocabulary.contracts.gateway_admin import RouteReport, UpstreamReport

_WORDS = {Why.DOWN: "down", Why.OPEN: "down", Why.BUSY: "full", Why.FULL: "full", Why.MEMORY: "full"}


def upstream_report(live: LiveUpstream, *, now: float, shape: Shape | None = None) -> UpstreamReport:
    """One upstream now, to a request of `shape`. `now` is in monotonic seconds."""
    asked = shape or (Shape(work=live.works[0]) if live.works else Shape())
    state = live.state(asked)
    why = keeps_out(state, asked, now)
    if why is Why.HEALTH:  # that is its standing: it can serve
        why = None
    spec, proven = live.spec, live.proven_at
    return UpstreamReport(
        name=spec.name,
        serves=spec.serves,
        kind=spec.kind,
        node=spec.node,
        state=_word(state, why),
        reason=sentence(why, state, asked, now) if why is not None else "" if proven is not None else live.reason,
        in_flight=live.in_flight,
        max_in_flight=spec.max_in_flight,
        outstanding_tokens=live.outstanding_tokens,
        context_tokens=spec.context_tokens,
        matched_tokens=live.ratio.tokens(state.matched_bytes) if state.matched_bytes else 0,
        seen_seconds_ago=None if proven is None else max(0.0, now - proven),
        standing=live.standing.value,
        unwell=live.unwell,
    )


def route_reports(routes: Iterable[Route], live: Mapping[str, LiveUpstream], *, now: float) -> tuple[RouteReport, ...]:
    """Every route with its upstreams, in order of preference."""
    return tuple(
        RouteReport(
            name=route.name,
            track=route.track,
            upstreams=tuple(upstream_report(live[name], now=now) for name in route.upstreams if name in live),
        )
        for route in routes
    )


def _word(state: UpstreamState, why: Why | None) -> str:
    """One word for it: what a person must know first."""
    if why is Why.INTENT:
        return state.intent.value
    if why in _WORDS:
        return _WORDS[why]
    return "ready" if state.readiness is Readiness.READY else "unknown"
