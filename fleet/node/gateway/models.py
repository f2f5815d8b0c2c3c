"""The list of models: what a client may ask for, and whether it would be answered now. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.node.gateway.config import Loaded
from fleet.node.gateway.upstreams import LiveUpstream
from fleet.traffic.choice import Readiness
from fleet.traffic.config import Route
from fleet.traffic.openai_error import ApiError


def model_list(loaded: Loaded, live: Mapping[str, LiveUpstream], *, since: int) -> dict[str, Any]:
    """OpenAI's list. Every route is a model; `fleet` says how it does."""
    data = [model_entry(route, live, since=since) for route in loaded.routes.values()]
    return {"object": "list", "data": data}


def model_entry(route: Route, live: Mapping[str, LiveUpstream], *, since: int) -> dict[str, Any]:
    """One model. `ready`: an upstream of it has proven itself and takes work."""
    mine = [live[name] for name in route.upstreams if name in live]
    serving = [one for one in mine if one.state().may_serve]
    ready = any(one.readiness is Readiness.READY for one in serving)
    contexts = [one.spec.context_tokens for one in mine if one.spec.context_tokens is not None]
    fleet: dict[str, Any] = {"ready": ready, "track": route.track.value, "upstreams": [one.name for one in mine]}
    if not ready:
        fleet["reason"] = reasons(mine)
    entry: dict[str, Any] = {"id": route.name, "object": "model", "created": since, "owned_by": "fleet"}
    if contexts:
        entry["context_length"] = min(contexts)
    return {**entry, "fleet": fleet}


def reasons(upstreams: list[LiveUpstream]) -> str:
    """Why none of them is ready, in one line."""
    if not upstreams:
        return "no upstream is configured"
    return "; ".join(
        f"{one.name}: {one.reason if one.intent.value == 'serving' else one.intent.value}"
        for one in upstreams
        if one.readiness is not Readiness.READY or one.intent.value != "serving"
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
