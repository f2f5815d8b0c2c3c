"""The list of models: what a client may ask for, what it costs, and whether it would be answered now. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fleet.node.gateway.catalogue import ModelFacts
from fleet.node.gateway.config import Loaded
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.traffic.choice import Readiness
from fleet.traffic.config import Price, Route
from fleet.traffic.openai_error import ApiError
from fleet.traffic.wellness import Standing
from fleet.vocabulary.names import Intent

Facts = Callable[[LiveUpstream], ModelFacts | None]
STOPPING = "this gateway is about to stop"
_FREE = Price()


def no_facts(upstream: LiveUpstream) -> ModelFacts | None:  # noqa: ARG001 (a Facts)
    """Nothing is known of any model."""
    return None


def model_list(
    loaded: Loaded, live: Mapping[str, LiveUpstream], *, facts: Facts, since: int, stopping: bool = False
) -> dict[str, Any]:
    """OpenAI's list, with what Anthropic's has besides. Every route is a model; `fleet` says how it does."""
    routes = loaded.routes.values()
    data = [model_entry(route, live, facts=facts, since=since, stopping=stopping) for route in routes]
    return {
        "object": "list",
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def model_entry(
    route: Route, live: Mapping[str, LiveUpstream], *, facts: Facts, since: int, stopping: bool = False
) -> dict[str, Any]:
    """One model. `ready`: an upstream of it has proven itself and takes work, and the gateway is not `stopping`.

    `context_length` is the shortest of its upstreams, `pricing` (USD per token) the first one's that would be asked,
    `most` the dearest of any of them (null: nobody says), `own` are those that cost nothing.
    `standing` and `unwell` are there when health takes work even from the best of them.
    """
    mine = [live[name] for name in route.upstreams if name in live]
    serving = [one for one in mine if one.intent is Intent.SERVING and one.readiness is not Readiness.DOWN]
    if stopping:
        serving = []
    ready = any(one.readiness is Readiness.READY for one in serving)
    fleet: dict[str, Any] = {
        "ready": ready,
        "status": _status(mine, serving, ready=ready),
        "track": route.track.value,
        "upstreams": [one.name for one in mine],
        "works": sorted({work.value for one in mine for work in one.works}),
    }
    if not ready:
        fleet["reason"] = STOPPING if stopping else reasons(mine)
    best = min(serving, key=lambda one: one.standing.grade, default=None)
    if best is not None and best.standing is not Standing.FULL:
        fleet["standing"], fleet["unwell"] = best.standing.value, list(best.unwell)
    entry: dict[str, Any] = {
        "id": route.name,
        "object": "model",
        "created": since,
        "owned_by": "fleet",
        "type": "model",
        "display_name": route.name,
        "created_at": datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    contexts = [context for one in mine if (context := _context(one, facts(one))) is not None]
    if contexts:
        entry["context_length"] = min(contexts)
    if any(one.spec.kind == "api" for one in mine):
        most = _most([_dearest(one, facts) for one in mine])
        fleet["own"] = [one.name for one in mine if one.spec.kind != "api"]
        fleet["most"] = None if most is None else _told(most)
    price = _price(serving or mine, facts)
    if price is not None:
        entry["pricing"] = {"prompt": price.prompt, "completion": price.completion}
    return {**entry, "fleet": fleet}


def _status(mine: Sequence[LiveUpstream], serving: Sequence[LiveUpstream], *, ready: bool) -> str:
    """ready, unknown (nothing is proven), down; draining or drained when its operator wants that of all of them."""
    if ready:
        return "ready"
    intents = {one.intent for one in mine}
    if intents and Intent.SERVING not in intents:
        return Intent.DRAINING.value if Intent.DRAINING in intents else Intent.DRAINED.value
    return "unknown" if serving else "down"


def _context(upstream: LiveUpstream, known: ModelFacts | None) -> int | None:
    """What the configuration says, else what its provider says."""
    said = upstream.spec.context_tokens
    return said if said is not None or known is None else known.context_tokens


def _price(upstreams: Sequence[LiveUpstream], facts: Facts) -> Price | None:
    """What the first of them costs; own machines are free here, an unknown price stays unknown."""
    if not upstreams:
        return None
    first = upstreams[0]
    if first.spec.kind != "api":
        return _FREE
    known = facts(first)
    return first.spec.price or (known.price if known is not None else None)


def _dearest(upstream: LiveUpstream, facts: Facts) -> Price | None:
    """What is reserved by: the dearest that its conditions allow."""
    return upstream.spec.price_most or _price([upstream], facts)


def _told(price: Price) -> dict[str, str]:
    return {"prompt": price.prompt, "completion": price.completion, "request": price.request}


def _most(prices: Sequence[Price | None]) -> Price | None:
    """The dearest of them in each part; None where one is unknown."""
    known = [price for price in prices if price is not None]
    if len(known) < len(prices):
        return None
    return Price(
        prompt=max((price.prompt for price in known), key=Decimal),
        completion=max((price.completion for price in known), key=Decimal),
        request=max((price.request for price in known), key=Decimal),
    )


def reasons(upstreams: Sequence[LiveUpstream]) -> str:
    """Why none of them is ready, in one line."""
    if not upstreams:
        return "no upstream is configured"
    return "; ".join(
        f"{one.name}: {one.reason if one.intent is Intent.SERVING else one.intent.value}"
        for one in upstreams
        if one.readiness is not Readiness.READY or one.intent is not Intent.SERVING
    )


def model_not_found(loaded: Loaded, model: object) -> ApiError:
    """404 that says what there is."""
    names = ", ".join(loaded.routes) or "none"
    return ApiError(
        status=404,
        message=f"there is no model {model!r} here; models: {names}",
        code="model_not_found",
        param="model",
    )
