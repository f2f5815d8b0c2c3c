"""Where a request may go when a node is unwell."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.avoided import avoided
from fleet.traffic.breaker import Circuit
from fleet.traffic.choice import Choice, Readiness, UpstreamState, Why, choose
from fleet.traffic.config import Breaker, Route
from fleet.traffic.explain import explain
from fleet.traffic.wellness import Standing
from fleet.traffic.work import Shape
from fleet.vocabulary.names import Intent

NOW = 100.0
SHAPE = Shape(prompt_bytes=4096, output_tokens=100, session="s")
OPEN = Circuit().ejected(NOW, Breaker(first_seconds=5.0))
NONE: dict[str, Any] = {"standing": Standing.NONE, "unwell": "200 MiB left under the GPU wired limit"}
LESS: dict[str, Any] = {"standing": Standing.LESS, "unwell": "thermal pressure is moderate"}


def a_state(name: str, serves: str = "smol", **changes: Any) -> UpstreamState:
    return msgspec.structs.replace(UpstreamState(name=name, serves=serves), **changes)


def route(*states: UpstreamState) -> Route:
    return Route(name="r", upstreams=tuple(state.name for state in states))


def asked(*states: UpstreamState, last: bool = False) -> Choice:
    return choose(route(*states), {state.name: state for state in states}, SHAPE, now=NOW, last=last)


def kept_from(taken: str, *states: UpstreamState) -> tuple[str, ...]:
    return avoided(route(*states), {state.name: state for state in states}, SHAPE, taken=taken, now=NOW)


def explained(*states: UpstreamState) -> dict[str, str]:
    return explain(route(*states), {state.name: state for state in states}, SHAPE, now=NOW)


def test_who_is_unwell_gets_nothing_while_another_can_serve() -> None:
    choice = asked(a_state("a", **NONE), a_state("b", in_flight=15, outstanding_tokens=90_000))
    assert (choice.attempts, choice.why) == (("b",), {"a": Why.HEALTH})
    assert "GPU wired limit" in choice.refused["a"]


def test_another_model_of_the_route_serves_before_one_whose_node_is_unwell() -> None:
    assert asked(a_state("a", "large", **NONE), a_state("b", "small")).attempts == ("b",)


def test_a_place_on_a_healthy_node_is_waited_for_and_at_the_end_the_unwell_serves() -> None:
    unwell, full = a_state("a", **NONE), a_state("b", in_flight=16)
    assert (asked(unwell, full).attempts, asked(unwell, full).full) == ((), ("b",))
    assert asked(unwell, full, last=True).attempts == ("a",)


def test_nobody_is_turned_away_by_health_alone() -> None:
    assert asked(a_state("a", **NONE)).attempts == ("a",)
    down = a_state("b", readiness=Readiness.DOWN)
    assert asked(a_state("a", **NONE), down, a_state("c", intent=Intent.DRAINING)).attempts == ("a",)


def test_the_last_resort_is_the_busy_then_the_unwell_then_the_open() -> None:
    busy, unwell, broken = a_state("a", busy_until=NOW + 5), a_state("b", **NONE), a_state("c", circuit=OPEN)
    assert asked(broken, unwell, busy).attempts == ("a",)
    assert asked(broken, unwell).attempts == ("b",)
    assert asked(broken).attempts == ("c",)


def test_an_open_breaker_is_not_mended_by_bad_health() -> None:
    assert asked(a_state("a", circuit=OPEN, **NONE), a_state("b", **NONE)).attempts == ("b",)


def test_who_gets_less_has_half_as_many_places() -> None:
    assert asked(a_state("a", in_flight=7, **LESS)).attempts == ("a",)
    choice = asked(a_state("a", in_flight=8, **LESS))
    assert (choice.attempts, choice.full) == ((), ("a",))
    assert asked(a_state("a", in_flight=8, **LESS), last=True).attempts == ("a",), "a wait is all that health may cost"
    assert asked(a_state("a", in_flight=16, **LESS), last=True).attempts == ()
    assert asked(a_state("a", max_in_flight=1, **LESS)).attempts == ("a",), "one at least"


def test_who_gets_less_comes_after_its_healthy_neighbours_unless_they_have_much_more_to_do() -> None:
    unwell = a_state("a", **LESS)
    assert asked(unwell, a_state("b", outstanding_tokens=2000)).attempts == ("b", "a")
    assert asked(unwell, a_state("b", outstanding_tokens=2001)).attempts == ("a", "b")
    large = a_state("c", "large", outstanding_tokens=90_000)
    assert asked(large, unwell).attempts == ("c", "a"), "another model is no neighbour"


@pytest.mark.parametrize("ill", [LESS, NONE])
def test_a_conversation_leaves_a_node_that_is_unwell(ill: dict[str, Any]) -> None:
    assert asked(a_state("a", matched_bytes=4096, **ill), a_state("b")).attempts[0] == "b"


def test_who_was_avoided_is_told_where_health_changed_the_outcome_and_only_there() -> None:
    assert kept_from("b", a_state("a", **NONE), a_state("b", outstanding_tokens=500)) == ("a",)
    assert kept_from("b", a_state("a", matched_bytes=4096, **LESS), a_state("b")) == ("a",)
    assert kept_from("b", a_state("a", outstanding_tokens=500, **NONE), a_state("b")) == ()
    assert kept_from("a", a_state("a", **NONE)) == (), "it served after all"
    assert kept_from("b", a_state("a", readiness=Readiness.DOWN, **NONE), a_state("b")) == (), "it is down anyhow"


def test_health_is_explained() -> None:
    said = explained(a_state("a", **NONE), a_state("b", **LESS), a_state("c"))
    assert list(said) == ["c", "b", "a"]
    assert said["a"] == "passed over while others can serve: 200 MiB left under the GPU wired limit"
    assert said["b"] == (
        "if that fails: gets less, since thermal pressure is moderate, nothing to do, 0 of 8 in flight"
    )
    alone = explained(a_state("a", **NONE))["a"]
    assert alone.startswith("first: nobody else can serve, though 200 MiB left under the GPU wired limit")
    full = explained(a_state("a", in_flight=8, **LESS))["a"]
    assert full == "full: 8 of 8 in flight (half of 16, since thermal pressure is moderate); it is waited for"


some_states = st.lists(
    st.builds(
        UpstreamState,
        name=st.just(""),
        serves=st.sampled_from(["smol", "large"]),
        in_flight=st.integers(0, 17),
        readiness=st.sampled_from(Readiness),
        intent=st.sampled_from(Intent),
        circuit=st.sampled_from([Circuit(), OPEN]),
        busy_until=st.sampled_from([0.0, NOW + 1]),
        standing=st.sampled_from(Standing),
        outstanding_tokens=st.integers(0, 10_000),
        matched_bytes=st.sampled_from([0, 4096]),
    ),
    max_size=6,
)


def named(states: list[UpstreamState]) -> list[UpstreamState]:
    return [msgspec.structs.replace(state, name=f"u{number}") for number, state in enumerate(states)]


@given(some_states)
def test_whoever_would_be_served_by_healthy_nodes_is_served_at_the_latest_when_it_can_wait_no_longer(
    drawn: list[UpstreamState],
) -> None:
    states = named(drawn)
    well = [msgspec.structs.replace(state, standing=Standing.FULL) for state in states]
    choice = asked(*states, last=True)
    if asked(*well).attempts:
        assert choice.attempts
    assert set(choice.attempts) | set(choice.full) | set(choice.refused) == {state.name for state in states}


@given(some_states)
def test_nothing_goes_to_the_unwell_while_somebody_well_is_free(drawn: list[UpstreamState]) -> None:
    states = {state.name: state for state in named(drawn)}
    attempts = [states[name] for name in asked(*states.values()).attempts]
    if any(state.standing is not Standing.NONE and state.circuit is not OPEN for state in attempts):
        assert all(state.standing is not Standing.NONE for state in attempts)
