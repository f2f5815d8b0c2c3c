"""Why a request would go where it would: a sentence for every upstream of a route. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.traffic.choice import Choice, UpstreamState, Why, choose, keeps_out, sentence
from fleet.traffic.config import Route
from fleet.traffic.wellness import Standing
from fleet.traffic.work import Shape

_ANY = Shape()


def explain(
    route: Route, states: Mapping[str, UpstreamState], shape: Shape = _ANY, *, now: float = 0.0
) -> dict[str, str]:
    """Upstream -> sentence, in the order in which `choose` would ask them, then who is full, then who is left out."""
    choice = choose(route, states, shape, now=now)
    said: dict[str, str] = {}
    for place, name in enumerate(choice.attempts):
        turn = "first" if place == 0 else "if that fails"
        said[name] = f"{turn}: {_preference(states[name], choice, states, shape, now)}"
    for name in choice.full:
        said[name] = f"{sentence(choice.why[name], states[name], shape, now)}; it is waited for"
        if choice.attempts:
            said[name] = sentence(choice.why[name], states[name], shape, now)
    return said | dict(choice.refused)


def _preference(
    state: UpstreamState, choice: Choice, states: Mapping[str, UpstreamState], shape: Shape, now: float
) -> str:
    """What speaks for it and against it."""
    parts: list[str] = []
    kept = keeps_out(state, shape, now)
    if kept is Why.HEALTH:
        parts.append(f"nobody else can serve, though {state.unwell or 'its node is unwell'}")
    elif kept is not None:
        parts.append(f"nobody else can serve, though it is {sentence(kept, state, shape, now)}")
    elif state.standing is not Standing.FULL:
        parts.append(f"gets less, since {state.unwell or 'its node is unwell'}")
    if state.matched_bytes:
        held = min(state.matched_bytes / max(shape.prompt_bytes, 1), 1.0)
        parts.append(f"has {held:.0%} of the prompt in memory")
        if any(_colder(states[name], state) for name in choice.attempts[: choice.attempts.index(state.name)]):
            parts.append("but much more to do than others")
    work = f"{state.outstanding_tokens} tokens of work before it" if state.outstanding_tokens else "nothing to do"
    parts.append(f"{work}, {state.in_flight} of {state.places} in flight")
    return ", ".join(parts)


def _colder(one: UpstreamState, than: UpstreamState) -> bool:
    return one.serves == than.serves and one.matched_bytes * 2 < than.matched_bytes
