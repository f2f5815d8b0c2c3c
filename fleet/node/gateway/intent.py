"""What the operator wants of the node's own sidecars, and what its agent and a deploy do meanwhile. Pure.

Wanted is `serving` or `draining`; `drained` is what draining has become when nothing runs there any more, so it is seen
and never stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from fleet.traffic.choice import Choice, Why
from fleet.traffic.openai_error import ApiError
from fleet.vocabulary.contracts.gateway_admin import AGENT, DEPLOY, IntentRequest, SidecarIntent
from fleet.vocabulary.names import Intent


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is wanted of one sidecar, since when (Unix seconds) and by whom. `serving` is no wish: it is forgotten."""

    intent: Intent
    since_seconds: float
    by: str = ""


Wishes = Mapping[str, Wish]
_DEPLOY, _AGENT, _OPERATOR = range(3)
PLANNED_SECONDS = 1200.0
"""A deploy drains for 5 minutes and proves for 10, when nobody says otherwise. What is down for longer is told."""


class NoSuchSidecar(ValueError):
    """The request names a sidecar that this node does not have."""


def apply(wishes: Wishes, request: IntentRequest, *, sidecars: Iterable[str], now: float) -> Wishes:
    """The wishes after `request`. Asking again for what is wanted already changes nothing. Raises NoSuchSidecar.

    The node's agent and a deploy drain and free for themselves only. What one of them drained is the operator's as
    soon as an operator asks for it too, and what a deploy drained is the agent's when the agent does. A deploy that
    frees all frees what its node does not have any more, too: nobody else would.
    """
    own = tuple(sidecars)
    if request.sidecar is not None and request.sidecar not in own:
        raise NoSuchSidecar(f"there is no sidecar {request.sidecar!r} on this node; it has {', '.join(own) or 'none'}")
    rank = _rank(request.by)
    changed = dict(wishes)
    if request.intent is Intent.SERVING:
        gone = [name for name, wish in wishes.items() if rank == _DEPLOY and _rank(wish.by) == rank]
        for name in (*own, *gone) if request.sidecar is None else (request.sidecar,):
            if name in changed and rank in (_OPERATOR, _rank(changed[name].by)):
                del changed[name]
        return changed
    for name in own if request.sidecar is None else (request.sidecar,):
        held = changed.get(name)
        if held is None:
            changed[name] = Wish(intent=Intent.DRAINING, since_seconds=now, by=request.by)
        elif rank > _rank(held.by) or (rank == _rank(held.by) == _AGENT):
            changed[name] = replace(held, by=request.by)
    return changed


def _rank(by: str) -> int:
    """Whose wish it is: whoever ranks higher takes a wish over.

    A gateway that did not know deploys yet took them for the agent, and wrote so: the upgrade that drained it resumes.
    """
    if by.removeprefix(AGENT).lstrip().startswith(DEPLOY):
        return _DEPLOY
    return _AGENT if by.startswith(AGENT) else _OPERATOR


def planned(wishes: Wishes, *, now: float) -> tuple[str, ...]:
    """The sidecars that a deploy drained lately: it is about to stop them, and starts them again."""
    return tuple(
        name
        for name, wish in wishes.items()
        if _rank(wish.by) == _DEPLOY and 0 <= now - wish.since_seconds <= PLANNED_SECONDS
    )


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
