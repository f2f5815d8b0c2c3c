"""`fleet drain` and `fleet resume`: no new work for a node's sidecars, and new work again.

The intent is set on the node's own gateway and kept there; what runs may finish.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from fleet.control.actions.gateways import GatewayNode, Gateways, answered, problems
from fleet.errors import FleetError
from fleet.vocabulary.contracts.gateway_admin import (
    IntentRequest,
    NodeIntent,
    RouteReports,
    UpstreamReport,
)
from fleet.vocabulary.names import Intent, NodeName

POLL_SECONDS = 0.5
_ABLE = ("ready", "full")
_CLOSED = ("draining", "drained")
_PREFIX = "sidecar."


class LastUpstream(FleetError):
    """The drain would leave served models without anybody who can serve them."""

    code = "last_upstream"


class DrainReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the nodes stand. `errors` says which could not be asked, and why."""

    nodes: tuple[NodeIntent, ...] = ()
    errors: dict[NodeName, str] = {}
    schema: int = 1

    @property
    def in_flight(self) -> int:
        """What still runs on sidecars that are being drained."""
        return sum(one.in_flight for node in self.nodes for one in node.sidecars if one.intent is Intent.DRAINING)


def closing(own: RouteReports, *, sidecars: Collection[str] | None) -> frozenset[str]:
    """The served models that a node can serve now, and could not after these (None: all) are drained. Pure.

    A sidecar that is drained already closes nothing.
    """
    names = None if sidecars is None else {_as_upstream(name) for name in sidecars}
    there = [one for one in _once(own) if one.kind == "sidecar"]
    leaving = [one for one in there if (names is None or one.name in names) and one.state not in _CLOSED]
    staying = {one.serves for one in there if one not in leaving and one.state not in _CLOSED}
    return frozenset(one.serves for one in leaving) - staying


def left_without(closed: Mapping[NodeName, frozenset[str]], front: RouteReports) -> tuple[str, ...]:
    """The models that nobody could serve after these nodes close them, as the front sees its upstreams. Pure."""
    gone = {(node, model) for node, models in closed.items() for model in models}
    able = {one.serves for one in _once(front) if one.state in _ABLE and (one.node, one.serves) not in gone}
    return tuple(sorted({model for models in closed.values() for model in models} - able))


def drain(
    wanted: Sequence[GatewayNode],
    found: Sequence[GatewayNode],
    doors: Gateways,
    *,
    sidecar: str | None = None,
    force: bool = False,
    by: str = "",
) -> tuple[DrainReport, dict[NodeName, FleetError]]:
    """Give these nodes no new work. Asked again it changes nothing.

    Raises LastUpstream unless forced: when a served model would have nobody left, or when no front can say.
    """
    if not force:
        require_another(wanted, found, doors, sidecars=None if sidecar is None else (sidecar,))
    return _want(wanted, doors, Intent.DRAINING, sidecar=sidecar, by=by)


def resume(
    wanted: Sequence[GatewayNode], doors: Gateways, *, sidecar: str | None = None, by: str = ""
) -> tuple[DrainReport, dict[NodeName, FleetError]]:
    """Give these nodes new work again."""
    return _want(wanted, doors, Intent.SERVING, sidecar=sidecar, by=by)


def wait_until_drained(
    report: DrainReport,
    wanted: Sequence[GatewayNode],
    doors: Gateways,
    *,
    seconds: float,
    told: Callable[[DrainReport], None] = lambda _: None,
) -> DrainReport:
    """Ask again until nothing runs there any more, or the time is over. `told` hears every change of the count."""
    ends = time.monotonic() + seconds
    while report.in_flight and time.monotonic() < ends:
        time.sleep(min(POLL_SECONDS, max(0.0, ends - time.monotonic())))
        answers = doors.each(wanted, lambda door: door.intent())
        before, now = report, _report(answers)
        # A node that does not answer now still runs what it ran when it was heard of last.
        kept = {node.node: node for node in before.nodes} | {node.node: node for node in now.nodes}
        report = DrainReport(nodes=tuple(kept.values()), errors={**before.errors, **now.errors})
        if report.in_flight != before.in_flight:
            told(report)
    return report


def require_another(
    wanted: Sequence[GatewayNode],
    found: Sequence[GatewayNode],
    doors: Gateways,
    *,
    sidecars: Collection[str] | None,
) -> None:
    """See that somebody else serves what these sidecars (None: all) of these nodes serve. Raises LastUpstream."""
    names = {gateway.name for gateway in wanted}
    fronts = [gateway for gateway in found if gateway.is_front]
    asked = [*wanted, *(front for front in fronts if front.name not in names)]
    reports = answered(doors.each(asked, lambda door: door.routes()))
    closed = {name: closing(report, sidecars=sidecars) for name, report in reports.items() if name in names}
    if not any(closed.values()):
        return
    views = [reports[front.name] for front in fronts if front.name in reports]
    if not views:
        raise LastUpstream(
            "no front can be asked who else serves its models", hint="--force drains without that knowledge"
        )
    without = left_without(closed, views[0])
    if without:
        models = ", ".join(without)
        raise LastUpstream(
            f"nobody else can serve {models} now",
            detail=f"as {views[0].node} sees it: who asks for {'it' if len(without) == 1 else 'them'} would get 503",
            hint="--force drains all the same; fleet route list shows who serves what",
        )


def _want(
    wanted: Sequence[GatewayNode], doors: Gateways, intent: Intent, *, sidecar: str | None, by: str
) -> tuple[DrainReport, dict[NodeName, FleetError]]:
    asked = IntentRequest(intent=intent, sidecar=None if sidecar is None else _as_upstream(sidecar), by=by)
    answers = doors.each(wanted, lambda door: door.want(asked))
    return _report(answers), problems(answers)


def _report(answers: Mapping[NodeName, NodeIntent | FleetError]) -> DrainReport:
    errors = {name: error.title for name, error in problems(answers).items()}
    return DrainReport(nodes=tuple(answered(answers).values()), errors=errors)


def _as_upstream(sidecar: str) -> str:
    """`chat` is the sidecar that the gateway knows as `sidecar.chat`."""
    return sidecar if sidecar.startswith(_PREFIX) else f"{_PREFIX}{sidecar}"


def _once(report: RouteReports) -> tuple[UpstreamReport, ...]:
    """Every upstream of the routes, each once."""
    return tuple({one.name: one for route in report.routes for one in route.upstreams}.values())
