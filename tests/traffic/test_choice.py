"""Where a request may go."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.choice import Readiness, UpstreamState, choose
from fleet.traffic.config import Route
from fleet.vocabulary.names import Intent


def a_state(name: str, serves: str = "smol", **changes: object) -> UpstreamState:
    return msgspec.structs.replace(UpstreamState(name=name, serves=serves), **changes)


def chosen(*states: UpstreamState) -> tuple[str, ...]:
    route = Route(name="r", upstreams=tuple(state.name for state in states))
    return choose(route, {state.name: state for state in states}).attempts


def test_the_least_loaded_of_equals_comes_first() -> None:
    assert chosen(a_state("a", in_flight=3), a_state("b", in_flight=1), a_state("c", in_flight=2)) == ("b", "c", "a")


def test_load_is_relative_to_what_an_upstream_can_take() -> None:
    assert (
        chosen(a_state("small", in_flight=2, max_in_flight=4), a_state("big", in_flight=4, max_in_flight=16))[0]
        == "big"
    )


def test_the_routes_order_of_models_outweighs_load() -> None:
    assert chosen(a_state("a", "large", in_flight=5), a_state("b", "small")) == ("a", "b")


def test_a_proven_upstream_comes_before_an_unproven_one_that_is_as_free() -> None:
    assert chosen(a_state("a"), a_state("b", readiness=Readiness.READY)) == ("b", "a")


def test_an_upstream_that_is_down_or_draining_gets_nothing_and_the_reason_is_kept() -> None:
    states = {
        "a": a_state("a", readiness=Readiness.DOWN, reason="connection refused"),
        "b": a_state("b", intent=Intent.DRAINING),
        "c": a_state("c", in_flight=16),
    }
    choice = choose(Route(name="r", upstreams=("a", "b", "c", "gone")), states)
    assert choice.attempts == ()
    assert choice.full == ("c",)
    assert choice.refused == {"a": "connection refused", "b": "draining", "gone": "not configured"}


state = st.builds(
    UpstreamState,
    name=st.sampled_from("abcd"),
    serves=st.sampled_from(["x", "y"]),
    in_flight=st.integers(0, 5),
    max_in_flight=st.integers(1, 4),
    readiness=st.sampled_from(Readiness),
    intent=st.sampled_from(Intent),
)


@given(states=st.lists(state, unique_by=lambda one: one.name))
def test_every_upstream_of_a_route_is_accounted_for_exactly_once(states: list[UpstreamState]) -> None:
    names = [one.name for one in states]
    choice = choose(Route(name="r", upstreams=tuple(names)), {one.name: one for one in states})
    assert sorted([*choice.attempts, *choice.full, *choice.refused]) == sorted(names)
