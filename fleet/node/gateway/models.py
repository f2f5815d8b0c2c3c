"""The list of models: what a client may ask for, what it costs, and whether it would be answered now. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fleet.node.gateway.config import Loaded
from fleet.node.gateway.upstreams import LiveUpstream
from fleet.traffic.choice import Readiness
from fleet.traffic.config import Price, Route
from fleet.traffic.openai_error import ApiError
from fleet.vocabulary.names import Intent

_FREE = Price()


def model_list(loaded: Loaded, live: Mapping[str, LiveUpstream], *, since: int) -> dict[str, Any]:
    """OpenAI's list, with what Anthropic's has besides. Every route is a model; `fleet` says how it does."""
    data = [model_entry(route, live, since=since) for route in loaded.routes.values()]
    return {
        "object": "list",
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def model_entry(route: Route, live: Mapping[str, LiveUpstream], *, since: int) -> dict[str, Any]:
    """One model. `ready`: an upstream of it has proven itself and takes work.

    `context_length` is the shortest of its upstreams, `pricing` (USD per token) the first one's that would be asked.
    """
    mine = [live[name] for name in route.upstreams if name in live]
    serving = [one for one in mine if one.intent is Intent.SERVING and one.readiness is not Readiness.DOWN]
    ready = any(one.readiness is Readiness.READY for one in serving)
    fleet: dict[str, Any] = {
        "ready": ready,
        "status": "ready" if ready else "unknown" if serving else "down",
        "track": route.track.value,
        "upstreams": [one.name for one in mine],
        "works": sorted({work.value for one in mine for work in one.works}),
    }
    if not ready:
        fleet["reason"] = reasons(mine)
    entry: dict[str, Any] = {
        "id": route.name,
        "object": "model",
        "created": since,
        "owned_by": "fleet",
        "type": "model",
        "display_name": route.name,
        "created_at": datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    contexts = [one.spec.context_tokens for one in mine if one.spec.context_tokens is not None]
    if contexts:
        entry["context_length"] = min(contexts)
    price = _price(serving or mine)
    if price is not None:
        entry["pricing"] = {"prompt": price.prompt, "completion": price.completion}
    return {**entry, "fleet": fleet}


def _price(upstreams: Sequence[LiveUpstream]) -> Price | None:
    """What the first of them costs; own machines are free here, an unknown price stays unknown."""
    if not upstreams:
        return None
    first = upstreams[0]
    return first.spec.price if first.spec.kind == "api" else _FREE


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
