"""A gateway as it stands now: what metrics and the status page are made of. Nothing here names a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fleet.node.gateway.admin_reports import route_reports
from fleet.node.gateway.call import Call, Phase
from fleet.node.gateway.config import Loaded
from fleet.node.gateway.ps import phases, waiting
from fleet.node.gateway.upstreams import LiveUpstream
from fleet.traffic.breaker import Phase as Breaker
from fleet.vocabulary.contracts.gateway_admin import RouteReport, UpstreamReport
from fleet.vocabulary.names import Lane

STATES = ("ready", "full", "unknown", "down", "draining", "drained")
"""What an upstream can be (UpstreamReport.state)."""


@dataclass(frozen=True, kw_only=True)
class PrefixView:
    """Prompt tokens of one upstream, and how many of them were cached: as choice had predicted, and as it was."""

    node: str
    upstream: str
    prompt_tokens: int = 0
    predicted_tokens: int = 0
    real_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class PaceView:
    """What one of the node's own sidecars decoded: tokens after the first of each answer, and how long they took."""

    node: str
    upstream: str
    model: str
    tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class GatewayView:
    """A gateway at one moment. `breakers` are by upstream; `config_problem` is why the newest file is not in force."""

    node: str
    role: str
    version: str
    config_sha256: str
    uptime_seconds: float
    draining: bool = False
    config_problem: str = ""
    routes: tuple[RouteReport, ...] = ()
    phases: Mapping[Phase, int] = field(default_factory=dict)
    waiting: Mapping[Lane, int] = field(default_factory=dict)
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    prefixes: tuple[PrefixView, ...] = ()
    paces: tuple[PaceView, ...] = ()
    retries_refused: int = 0

    @property
    def upstreams(self) -> tuple[UpstreamReport, ...]:
        """Every upstream once, in the order of the routes."""
        found: dict[str, UpstreamReport] = {}
        for route in self.routes:
            for one in route.upstreams:
                found.setdefault(one.name, one)
        return tuple(found.values())


def look(
    loaded: Loaded,
    live: Mapping[str, LiveUpstream],
    calls: Iterable[Call],
    *,
    now: float,
    version: str,
    uptime_seconds: float,
    draining: bool,
    config_problem: str | None,
    retries_refused: int,
) -> GatewayView:
    """The view of this moment. `now` is in monotonic seconds."""
    flying = tuple(calls)
    return GatewayView(
        node=loaded.config.node,
        role=loaded.config.role.value,
        version=version,
        config_sha256=loaded.sha256,
        uptime_seconds=uptime_seconds,
        draining=draining,
        config_problem=config_problem or "",
        routes=route_reports(loaded.routes.values(), live, now=now),
        phases=phases(flying),
        waiting=waiting(flying),
        breakers={name: one.circuit.phase(now) for name, one in live.items()},
        prefixes=tuple(
            PrefixView(
                node=one.spec.node,
                upstream=name,
                prompt_tokens=one.prompt_tokens_total,
                predicted_tokens=one.predicted_cached_tokens_total,
                real_tokens=one.cached_tokens_total,
            )
            for name, one in live.items()
        ),
        paces=tuple(
            PaceView(
                node=one.spec.node,
                upstream=name,
                model=one.spec.serves,
                tokens=one.pace.tokens_total,
                seconds=one.pace.seconds_total,
            )
            for name, one in live.items()
            if one.pace is not None
        ),
        retries_refused=retries_refused,
    )
