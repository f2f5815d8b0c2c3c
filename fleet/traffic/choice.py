"""Which upstreams a request may go to, best first. Pure: the gateway and `fleet route explain` ask the same function.

The route's order is a preference between models. Among neighbours that serve the same model goes first: who has the
prompt's beginning in memory, unless it has much more to do than the others; then who has the least to do; then who the
session's hash prefers, so that a restarted gateway finds the same places again. Those whose node is unwell come after
their neighbours, whatever they have in memory, unless even the freest of these has much more to do.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec

from fleet.traffic.config import Route
from fleet.traffic.upstream_state import Readiness, UpstreamState, Why, keeps_out, room, sentence
from fleet.traffic.wellness import Standing
from fleet.traffic.work import Shape

__all__ = ["Choice", "Readiness", "UpstreamState", "Why", "choose", "keeps_out", "rank", "sentence"]

AFFINITY_SHARE = 0.5
ESCAPE_RATIO = 1.5
ESCAPE_TOKENS = 2000
_ANY = Shape()
_FULL = Standing.FULL  # to ask an enum for a member by name costs more than the comparison
_WAITS = (Why.FULL, Why.MEMORY)


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


def choose(
    route: Route, states: Mapping[str, UpstreamState], shape: Shape = _ANY, *, now: float = 0.0, last: bool = False
) -> Choice:
    """The upstreams of `route` in the order to try them. Deterministic.

    Who is open (its breaker), unwell (its node) or busy (it said so) is passed over while another can serve, now or
    after a wait. When nobody can, the busy ones are asked, then the unwell, then the open ones: neither health nor a
    breaker takes out the last that could serve. `last`: the request can wait no longer, so the unwell are asked now.
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
    if not able and not any(kept in _WAITS for kept in why.values()):
        able = _last_resort(why, states, shape)
    if not able and last:
        able = _though_unwell(why, states, shape)
    waits = tuple([name for name, kept in why.items() if kept in _WAITS])
    return Choice(
        attempts=_ordered(able, shape.session),
        full=waits,
        refused={name: sentence(kept, states.get(name), shape, now) for name, kept in why.items() if name not in waits},
        why=why,
        too_long=_longest(why, states) if not able and not waits else None,
    )


def _load(state: UpstreamState, largest: int) -> float:
    """The work that waits there, in tokens as if it could take as many at once as the largest of its group."""
    return state.outstanding_tokens * largest / max(state.max_in_flight, 1)


def _warm(group: list[UpstreamState]) -> list[UpstreamState]:
    """Those of `group` that have enough of the prompt in memory to be preferred; none when nobody has any."""
    best = max([state.matched_bytes for state in group], default=0)
    return [state for state in group if state.matched_bytes >= best * AFFINITY_SHARE] if best else []


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
    """The well before the unwell, unless even the freest of them has much more to do."""
    if len(group) == 1:
        return [group[0].name]
    largest = max([state.max_in_flight for state in group])
    unwell = [state for state in group if state.standing is not _FULL]
    if not unwell:
        return _by_load(group, session, largest)
    well = [state for state in group if state.standing is _FULL]
    first, second = _by_load(well, session, largest), _by_load(unwell, session, largest)
    return second + first if well and _much_more(well, unwell, largest) else first + second


def _by_load(group: list[UpstreamState], session: str, largest: int) -> list[str]:
    """Who has the least to do first; the warm before the others, unless even the freest of them has much more to do."""

    def due(state: UpstreamState) -> tuple[float, float, bool, int, str]:
        busy = state.in_flight / max(state.max_in_flight, 1)
        return (
            _load(state, largest),
            busy,
            state.readiness is not Readiness.READY,
            -rank(session, state.name),
            state.name,
        )

    ordered = sorted(group, key=due)
    first = _warm(ordered)
    if first and not _much_more(first[:1], ordered[:1], largest):
        names = [state.name for state in first]
        return names + [state.name for state in ordered if state.name not in names]
    return [state.name for state in ordered]


def _much_more(those: list[UpstreamState], others: list[UpstreamState], largest: int) -> bool:
    """Whether even the freest of `those` has much more to do than the freest of the others."""
    least, less = (min([_load(state, largest) for state in group]) for group in (those, others))
    return least > ESCAPE_RATIO * less + ESCAPE_TOKENS


def _last_resort(why: dict[str, Why], states: Mapping[str, UpstreamState], shape: Shape) -> list[UpstreamState]:
    """Those to ask when nobody else could: the busy, else the unwell, else the open ones.

    They leave `why`, or stay there as full.
    """
    for kind in (Why.BUSY, Why.HEALTH, Why.OPEN):
        names = [name for name, kept in why.items() if kept is kind]
        if not names:
            continue
        able: list[UpstreamState] = []
        for name in names:
            del why[name]
            kept = room(states[name], shape)
            if kept is None:
                able.append(states[name])
            else:
                why[name] = kept
        return able
    return []


def _though_unwell(why: dict[str, Why], states: Mapping[str, UpstreamState], shape: Shape) -> list[UpstreamState]:
    """Those that only their health keeps out: of the half of its places, else at all. They leave `why`."""
    for kinds in (_WAITS, (Why.HEALTH,)):
        kept = [states[name] for name, reason in why.items() if reason in kinds]
        able = [one for one in kept if one.standing is not _FULL and room(one, shape, beyond=True) is None]
        for state in able:
            del why[state.name]
        if able:
            return able
    return []


def _longest(why: Mapping[str, Why], states: Mapping[str, UpstreamState]) -> int | None:
    """The longest context of those that refused for it, when no other reason may pass."""
    if set(why.values()) - {Why.CONTEXT, Why.WORK, Why.UNCONFIGURED}:
        return None
    return max((states[name].context_tokens or 0 for name, kept in why.items() if kept is Why.CONTEXT), default=None)
