"""One upstream as choice sees it now, and what would keep a request from it. Pure; times are monotonic seconds."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fleet.traffic.breaker import Circuit, Phase
from fleet.traffic.estimate import expected_output_tokens
from fleet.traffic.wellness import Standing
from fleet.traffic.work import Shape, Work
from fleet.vocabulary.names import Intent

_FULL, _NONE = Standing.FULL, Standing.NONE  # asking an enum for a member by name is dear where every request passes


class Readiness(StrEnum):
    """What the last proof said. An upstream of which nothing is known is tried; one that is down is not."""

    UNKNOWN = "unknown"
    READY = "ready"
    DOWN = "down"


class Why(StrEnum):
    """What keeps a request from an upstream."""

    UNCONFIGURED = "unconfigured"
    INTENT = "intent"
    WORK = "work"
    CONTEXT = "context"
    DOWN = "down"
    OPEN = "open"
    HEALTH = "health"
    BUSY = "busy"
    FULL = "full"
    MEMORY = "memory"


class UpstreamState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What choice must know of one upstream now. Times are monotonic seconds.

    `readiness` down is a proof (a probe failed) and is believed; `circuit` is what live requests met: open, it is still
    asked when there is nobody else. `outstanding_tokens` is the work that waits there, `held_tokens` what those in
    flight fill in memory. Of the request at hand are `prompt_tokens` (predicted), `least_prompt_tokens` (certain) and
    `matched_bytes` (what the server's prompt cache should hold of it). `works` None = everything. `standing` is how
    much new work its node's health lets it have, `unwell` why not all.
    """

    name: str
    serves: str
    node: str = ""
    in_flight: int = 0
    max_in_flight: int = 16
    readiness: Readiness = Readiness.UNKNOWN
    intent: Intent = Intent.SERVING
    reason: str = ""
    circuit: Circuit = Circuit()
    busy_until: float = 0.0
    works: tuple[Work, ...] | None = None
    context_tokens: int | None = None
    kv_bytes: int | None = None
    kv_bytes_per_token: int | None = None
    outstanding_tokens: int = 0
    held_tokens: int = 0
    prompt_tokens: int = 0
    least_prompt_tokens: int = 0
    matched_bytes: int = 0
    standing: Standing = Standing.FULL
    unwell: str = ""

    @property
    def places(self) -> int:
        """How many requests it may have at once: half as many when its node is unwell."""
        return self.max_in_flight if self.standing is _FULL else max(1, self.max_in_flight // 2)


def keeps_out(state: UpstreamState, shape: Shape, now: float) -> Why | None:
    """What keeps a request of `shape` from an upstream at `now`; what waiting cannot change comes first."""
    if state.works is not None and shape.work not in state.works:
        return Why.WORK
    if state.context_tokens is not None and state.least_prompt_tokens > state.context_tokens:
        return Why.CONTEXT
    if state.intent is not Intent.SERVING:
        return Why.INTENT
    if state.readiness is Readiness.DOWN:
        return Why.DOWN
    if not state.circuit.lets_through(now):
        return Why.OPEN
    if state.standing is _NONE:
        return Why.HEALTH
    if state.busy_until > now:
        return Why.BUSY
    return room(state, shape)


def room(state: UpstreamState, shape: Shape, *, beyond: bool = False) -> Why | None:
    """What keeps a request from going there at once. One request always fits an idle server: it knows better.

    `beyond`: also into the half of its places that its health takes.
    """
    if state.in_flight >= (state.max_in_flight if beyond or state.standing is _FULL else state.places):
        return Why.FULL
    if state.kv_bytes is None or state.kv_bytes_per_token is None or not state.in_flight:
        return None
    tokens = state.held_tokens + state.prompt_tokens + expected_output_tokens(shape)
    return Why.MEMORY if tokens * state.kv_bytes_per_token > state.kv_bytes else None


def sentence(why: Why, state: UpstreamState | None, shape: Shape, now: float) -> str:
    """What keeps the request from it, for people."""
    if state is None:
        return "not configured"
    match why:
        case Why.UNCONFIGURED:
            return "not configured"
        case Why.INTENT:
            return state.intent.value
        case Why.WORK:
            return f"does not offer {shape.work.value}"
        case Why.CONTEXT:
            return f"the prompt is at least {state.least_prompt_tokens} tokens, it takes {state.context_tokens}"
        case Why.DOWN:
            return state.reason or "down"
        case Why.OPEN if state.circuit.phase(now) is Phase.HALF_OPEN:
            return f"on trial with one request: {state.reason or 'it failed'}"
        case Why.OPEN:
            return f"left alone for {_seconds(state.circuit.opens_in(now))}: {state.reason or 'it failed'}"
        case Why.HEALTH:
            return f"passed over while others can serve: {state.unwell or 'its node is unwell'}"
        case Why.BUSY:
            return f"asked not to be asked for {_seconds(state.busy_until - now)}"
        case Why.FULL if state.standing is not _FULL:
            half = f"half of {state.max_in_flight}, since {state.unwell or 'its node is unwell'}"
            return f"full: {state.in_flight} of {state.places} in flight ({half})"
        case Why.FULL:
            return f"full: {state.in_flight} of {state.max_in_flight} in flight"
        case Why.MEMORY:
            return f"no memory for it beside {state.in_flight} in flight"


def _seconds(seconds: float) -> str:
    return f"{max(seconds, 0.1):.1f} s more"
