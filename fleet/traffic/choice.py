"""Which upstreams a request may go to, best first. Pure: the gateway and `fleet route explain` ask the same function.

The route's order is a preference between models. Among neighbours that serve the same model goes first: who has the
prompt's beginning in memory, unless it has much more to do than the others; then who has the least to do; then who the
session's hash prefers, so that a restarted gateway finds the same places again.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from fleet.traffic.breaker import Circuit, Phase
from fleet.traffic.config import Route
from fleet.traffic.estimate import expected_output_tokens
from fleet.traffic.work import Shape, Work
from fleet.vocabulary.names import Intent

AFFINITY_SHARE = 0.5
ESCAPE_RATIO = 1.5
ESCAPE_TOKENS = 2000
_ANY = Shape()


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
    BUSY = "busy"
    FULL = "full"
    MEMORY = "memory"


class UpstreamState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What choice must know of one upstream now. Times are monotonic seconds.

    `readiness` down is a proof (a probe failed) and is believed; `circuit` is what live requests met: open, it is still
    asked when there is nobody else. `outstanding_tokens` is the work that waits there, `held_tokens` what those in
    flight fill in memory. Of the request at hand are `prompt_tokens` (predicted), `least_prompt_tokens` (certain) and
    `matched_bytes` (what the server's prompt cache should hold of it). `works` None = everything.
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

    @property
    def may_serve(self) -> bool:
        """Whether a new request may go there at all, as far as operator and probes know."""
        return self.readiness is not Readiness.DOWN and self.intent is Intent.SERVING


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Every upstream of the route, once: in `attempts` (best first), in `full` (it will do, not now), or in `refused`.

    `refused` maps a name to a sentence for people, `why` every name outside `attempts` to a word. `too_long` is the
    longest context there is, when that is what keeps the request from all of them: waiting will not help.
    """

    attempts: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    refused: Mapping[str, str] = {}
    why: Mapping[str, Why] = {}
    too_long: int | None = None

    @property
    def unoffered(self) -> bool:
        """Whether no upstream of the route does this kind of work."""
        kinds = set(self.why.values()) - {Why.UNCONFIGURED}
        return not self.attempts and kinds == {Why.WORK}


def choose(route: Route, states: Mapping[str, UpstreamState], shape: Shape = _ANY, *, now: float = 0.0) -> Choice:
    """The upstreams of `route` in the order to try them. Deterministic.

    Who is open (its breaker) or busy (it said so) is passed over while another can serve, now or after a wait. When
    nobody can, the busy ones are asked, then the open ones: a breaker never takes out the last that could serve.
    """
    why: dict[str, Why] = {}
    able: list[UpstreamState] = []
    for name in route.upstreams:
        state = states.get(name)
        kept = Why.UNCONFIGURED if state is None else keeps_out(state, shape, now)
        if kept is not None:
            why[name] = kept
        elif state is not None:
            able.append(state)
    if not why:
        return Choice(attempts=_ordered(able, shape.session))
    waits = tuple(name for name, kept in why.items() if kept is Why.FULL or kept is Why.MEMORY)
    if not able and not waits:
        for last in (Why.BUSY, Why.OPEN):
            able = [states[name] for name, kept in why.items() if kept is last]
            if able:
                with_room = [state for state in able if room(state, shape) is None]
                waits = tuple(state.name for state in able if room(state, shape) is not None)
                why = {name: kept for name, kept in why.items() if kept is not last}
                why |= dict.fromkeys(waits, Why.FULL)
                able = with_room
                break
    return Choice(
        attempts=_ordered(able, shape.session),
        full=waits,
        refused={name: sentence(kept, states.get(name), shape, now) for name, kept in why.items() if name not in waits},
        why=why,
        too_long=_longest(why, states) if not able and not waits else None,
    )


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
    if state.busy_until > now:
        return Why.BUSY
    return room(state, shape)


def room(state: UpstreamState, shape: Shape) -> Why | None:
    """What keeps a request from going there at once. One request always fits an idle server: it knows better."""
    if state.in_flight >= state.max_in_flight:
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
        case Why.BUSY:
            return f"asked not to be asked for {_seconds(state.busy_until - now)}"
        case Why.FULL:
            return f"full: {state.in_flight} of {state.max_in_flight} in flight"
        case Why.MEMORY:
            return f"no memory for it beside {state.in_flight} in flight"


def load(state: UpstreamState, largest: int) -> float:
    """The work that waits there, in tokens as if it could take as many at once as the largest of its group."""
    return state.outstanding_tokens * largest / max(state.max_in_flight, 1)


def affine(group: list[UpstreamState]) -> list[UpstreamState]:
    """Those of `group` that have enough of the prompt in memory to be preferred; none when nobody has any."""
    best = max((state.matched_bytes for state in group), default=0)
    return [state for state in group if state.matched_bytes >= best * AFFINITY_SHARE] if best else []


def escapes(winner: UpstreamState, group: list[UpstreamState]) -> bool:
    """Whether a warm server has so much to do that a cold one is better."""
    largest = max(state.max_in_flight for state in group)
    least = min(load(state, largest) for state in group)
    return load(winner, largest) > ESCAPE_RATIO * least + ESCAPE_TOKENS


def rank(session: str, name: str) -> int:
    """Rendezvous: how much the session prefers this upstream. The same in every process; evenly spread."""
    mixed = zlib.crc32(f"{session}\n{name}".encode(errors="replace"))
    mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B & 0xFFFFFFFF  # a CRC alone keeps the order of two names for all sessions
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return mixed ^ mixed >> 16


def _ordered(able: list[UpstreamState], session: str) -> tuple[str, ...]:
    if len(able) < 2:
        return tuple([state.name for state in able])
    names: list[str] = []
    group: list[UpstreamState] = []
    for state in able:
        if group and group[0].serves != state.serves:
            names += _in_group(group, session)
            group = []
        group.append(state)
    return tuple(names + _in_group(group, session))


def _in_group(group: list[UpstreamState], session: str) -> list[str]:
    if len(group) == 1:
        return [group[0].name]
    largest = max([state.max_in_flight for state in group])
    by_load = sorted(
        [
            (
                load(state, largest),
                state.in_flight / max(state.max_in_flight, 1),
                state.readiness is not Readiness.READY,
                -rank(session, state.name),
                state.name,
                state.matched_bytes,
            )
            for state in group
        ]
    )
    names = [entry[4] for entry in by_load]
    best = max([entry[5] for entry in by_load])
    if best:
        warm = [entry for entry in by_load if entry[5] >= best * AFFINITY_SHARE]
        if warm[0][0] <= ESCAPE_RATIO * by_load[0][0] + ESCAPE_TOKENS:
            first = [entry[4] for entry in warm]
            return first + [name for name in names if name not in first]
    return names


def _longest(why: Mapping[str, Why], states: Mapping[str, UpstreamState]) -> int | None:
    """The longest context of those that refused for it, when no other reason may pass."""
    if set(why.values()) - {Why.CONTEXT, Why.WORK, Why.UNCONFIGURED}:
        return None
    return max((states[name].context_tokens or 0 for name, kept in why.items() if kept is Why.CONTEXT), default=None)


def _seconds(seconds: float) -> str:
    return f"{max(seconds, 0.1):.1f} s more"
