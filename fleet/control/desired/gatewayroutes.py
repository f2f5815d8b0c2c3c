"""The routes of a gateway, and how long it waits: from the inventory's words to the gateway's. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fleet.control.desired.policyfile import gray_terms
from fleet.control.desired.roster import Roster
from fleet.control.inventory.nearest import did_you_mean
from fleet.control.inventory.serving import QueueSetting, RouteSetting, TimeoutSetting, route_of
from fleet.errors import InventoryError
from fleet.traffic.config import Queue, Route, Timeouts, Upstream
from fleet.vocabulary.names import GatewayRole, Track
from fleet.vocabulary.units import parse_seconds


def routes_of(own: Roster, upstreams: Sequence[Upstream]) -> tuple[Route, ...]:
    """The inventory's routes, then one for every served model; the default one first. Raises InventoryError."""
    served: dict[str, list[Upstream]] = {}
    for upstream in upstreams:
        served.setdefault(upstream.serves, []).append(upstream)
    written = own.node.settings.routes if own.role is GatewayRole.FRONT else {}
    found = {name: _route(own, name, route_of(route), served) for name, route in written.items()}
    found |= {name: _named_after(name, same) for name, same in served.items() if name not in found}
    first = own.node.settings.default_route if own.role is GatewayRole.FRONT else None
    if first is not None and first not in found:
        raise InventoryError(
            f"default_route {first!r} is neither a route nor a served model",
            node=own.node.name,
            place=own.node.place_of("default_route"),
            hint=did_you_mean(first, found) or f"there is: {', '.join(found) or 'nothing'}",
        )
    return tuple(sorted(found.values(), key=lambda route: route.name != first))


def timeouts_of(setting: TimeoutSetting, base: Timeouts) -> Timeouts:
    """`base`, with what the inventory says instead."""
    spans = {field: getattr(setting, field) for field in setting.__struct_fields__}
    seconds = {f"{field}_seconds": parse_seconds(span) for field, span in spans.items() if span is not None}
    return msgspec.structs.replace(base, **seconds) if seconds else base


def queue_of(setting: QueueSetting) -> Queue:
    """The gateway's queue, with what the inventory says."""
    given = {field: getattr(setting, field) for field in setting.__struct_fields__}
    return msgspec.structs.replace(Queue(), **{field: value for field, value in given.items() if value is not None})


def _route(own: Roster, name: str, route: RouteSetting, served: Mapping[str, list[Upstream]]) -> Route:
    for number, model in enumerate(route.models):
        if model not in served:
            written = own.node.settings.routes[name]
            steps = ("models", number) if isinstance(written, RouteSetting) else (number,)
            raise InventoryError(
                f"routes: {name!r} names {model!r}, which no sidecar and no upstream serves",
                node=own.node.name,
                place=own.node.place_of("routes", name, *steps),
                hint=did_you_mean(model, served) or f"served: {', '.join(served) or 'nothing'}",
            )
    chosen = list(dict.fromkeys(upstream.name for model in route.models for upstream in served[model]))
    kinds = {upstream.kind for model in route.models for upstream in served[model]}
    base = timeouts_of(own.node.settings.gateway_timeouts, Timeouts())
    return Route(
        name=name,
        upstreams=tuple(chosen),
        track=route.track or _track(kinds),
        timeouts=timeouts_of(route.timeouts, base) if route.timeouts else None,
        sensitivity=route.sensitivity,
        gray=route.gray,
        gray_terms=gray_terms(route) if route.track is Track.GRAY else None,
        folds_to=route.folds_to,
    )


def _named_after(model: str, same: Sequence[Upstream]) -> Route:
    names = tuple(upstream.name for upstream in same)
    return Route(name=model, upstreams=names, track=_track({upstream.kind for upstream in same}))


def _track(kinds: set[str]) -> Track:
    """What a route is that does not say it: private only while nothing can leave the own machines."""
    return Track.TOKEN if "api" in kinds else Track.PRIVATE
