"""What the operator wants of the node's own sidecars, and what its agent does for them meanwhile. Pure.

Wanted is `serving` or `draining`; `drained` is what draining has become when nothing runs there any more, so it is seen
and never stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from fleet.traffic.choice import Choice, Why
from fleet.traffic.openai_error import ApiError
from fleet.vocabulary.contracts.gateway_admin import AGENT, IntentRequest, SidecarIntent
from fleet.vocabulary.names import Intent


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is wanted of one sidecar, since when (Unix seconds) and by whom. `serving` is no wish: it is forgotten."""

    intent: Intent
    since_seconds: float
    by: str = ""


Wishes = Mapping[str, Wish]


class NoSuchSidecar(ValueError):
    """The request names a sidecar that this node does not have."""


def apply(wishes: Wishes, request: IntentRequest, *, sidecars: Iterable[str], now: float) -> Wishes:
    """The wishes after `request`. Asking again for what is wanted already changes nothing. Raises NoSuchSidecar.

    The node's agent drains and frees for itself only: what an operator drained stays drained, and what the agent
    drained is the operator's as soon as an operator asks for it too.
    """
    own = tuple(sidecars)
    if request.sidecar is not None and request.sidecar not in own:
        raise NoSuchSidecar(f"there is no sidecar {request.sidecar!r} on this node; it has {', '.join(own) or 'none'}")
    wanted = Intent.SERVING if request.intent is Intent.SERVING else Intent.DRAINING
    agent = request.by.startswith(AGENT)
    changed = dict(wishes)
    for name in own if request.sidecar is None else (request.sidecar,):
        held = changed.get(name)
        agents = held is not None and held.by.startswith(AGENT)
        if wanted is Intent.SERVING:
            if agents or not agent:
                changed.pop(name, None)
        elif held is None:
            changed[name] = Wish(intent=wanted, since_seconds=now, by=request.by)
        elif agents:
            changed[name] = replace(held, by=request.by)
    return changed


def seen(wish: Wish | None, *, in_flight: int) -> Intent:
    """What is to be said of a sidecar on which so many requests run."""
    if wish is None or wish.intent is Intent.SERVING:
        return Intent.SERVING
    return Intent.DRAINING if in_flight else Intent.DRAINED


def report(wishes: Wishes, in_flight: Mapping[str, int], *, now: float) -> tuple[SidecarIntent, ...]:
    """How every sidecar stands. `in_flight` names them all."""
    return tuple(
        SidecarIntent(
            name=name,
            intent=seen(wishes.get(name), in_flight=count),
            in_flight=count,
            since_seconds=max(0.0, now - wishes[name].since_seconds) if name in wishes else 0.0,
            by=wishes[name].by if name in wishes else "",
        )
        for name, count in in_flight.items()
    )


def turned_away(choice: Choice) -> ApiError | None:
    """503 when nothing but the operator's intent keeps a request out, so that a front asks another node; else None."""
    kept = set(choice.why.values()) - {Why.UNCONFIGURED}
    return draining() if not choice.attempts and kept == {Why.INTENT} else None


def draining() -> ApiError:
    """What a request is told that comes to a drained node."""
    return ApiError(
        status=503,
        message="this node is drained: it takes no new requests; ask again or elsewhere",
        type="upstream_error",
        code="draining",
        retry_after_seconds=5,
    )
