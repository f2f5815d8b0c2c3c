"""Where a request may go."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from fleet.traffic.breaker import Circuit
from fleet.traffic.choice import Choice, Readiness, UpstreamState, Why, choose, rank
from fleet.traffic.config import Breaker, Route
from fleet.traffic.explain import explain
from fleet.traffic.work import Shape, Work
from fleet.vocabulary.names import Intent

NOW = 100.0
OPEN = Circuit().ejected(NOW, Breaker(first_seconds=5.0))
HALF_OPEN = Circuit().ejected(NOW - 10, Breaker(first_seconds=5.0))
ON_TRIAL = HALF_OPEN.tried(NOW)
SHAPE = Shape(prompt_bytes=4096, output_tokens=100, session="s")


def a_state(name: str, serves: str = "smol", **changes: Any) -> UpstreamState:
    return msgspec.structs.replace(UpstreamState(name=name, serves=serves), **changes)


def asked(*states: UpstreamState, shape: Shape = SHAPE) -> Choice:
    route = Route(name="r", upstreams=tuple(state.name for state in states))
    return choose(route, {state.name: state for state in states}, shape, now=NOW)


def chosen(*states: UpstreamState, shape: Shape = SHAPE) -> tuple[str, ...]:
    return asked(*states, shape=shape).attempts


def test_the_least_loaded_of_equals_comes_first() -> None:
    assert chosen(a_state("a", in_flight=3), a_state("b", in_flight=1), a_state("c", in_flight=2)) == ("b", "c", "a")


def test_tokens_that_wait_outweigh_the_number_of_requests() -> None:
    busy = a_state("a", in_flight=1, outstanding_tokens=30_000)
    assert chosen(busy, a_state("b", in_flight=5, outstanding_tokens=900))[0] == "b"


def test_load_is_relative_to_what_an_upstream_can_take() -> None:
    small = a_state("small", in_flight=2, max_in_flight=4, outstanding_tokens=1000)
    big = a_state("big", in_flight=4, max_in_flight=16, outstanding_tokens=2000)
    assert chosen(small, big)[0] == "big"


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


def test_who_has_the_prompts_beginning_goes_first_though_it_has_more_to_do() -> None:
    warm = a_state("warm", matched_bytes=4096, in_flight=2, outstanding_tokens=1500)
    assert chosen(a_state("cold"), warm, a_state("cold2"))[0] == "warm"


def test_who_has_half_of_what_the_best_has_may_serve_when_it_has_less_to_do() -> None:
    best = a_state("best", matched_bytes=4096, outstanding_tokens=900)
    assert chosen(best, a_state("half", matched_bytes=2048), a_state("less", matched_bytes=1536)) == (
        "half",
        "best",
        "less",
    )


def test_a_warm_upstream_with_much_more_to_do_than_others_is_left_for_a_cold_one() -> None:
    warm = a_state("warm", matched_bytes=4096, in_flight=8, outstanding_tokens=2001)
    assert chosen(warm, a_state("cold"))[0] == "cold"
    assert chosen(msgspec.structs.replace(warm, outstanding_tokens=2000), a_state("cold"))[0] == "warm"


def test_a_full_warm_upstream_does_not_keep_a_request_from_a_cold_one() -> None:
    assert chosen(a_state("warm", matched_bytes=4096, in_flight=16), a_state("cold")) == ("cold",)


def test_an_upstream_that_does_not_do_the_work_is_refused() -> None:
    choice = asked(a_state("a", works=(Work.CHAT,)), shape=Shape(work=Work.EMBEDDINGS))
    assert choice.refused == {"a": "does not offer embeddings"}
    assert choice.unoffered


def test_a_prompt_that_is_certainly_too_long_goes_to_the_longer_context() -> None:
    small, large = a_state("a", context_tokens=1000), a_state("b", context_tokens=5000)
    states = [msgspec.structs.replace(one, prompt_tokens=3000, least_prompt_tokens=1500) for one in (small, large)]
    choice = asked(*states)
    assert choice.attempts == ("b",)
    assert choice.refused == {"a": "the prompt is at least 1500 tokens, it takes 1000"}
    assert choice.too_long is None


def test_a_prompt_that_is_too_long_for_all_is_the_clients_to_shorten() -> None:
    long: dict[str, Any] = {"prompt_tokens": 9000, "least_prompt_tokens": 6000}
    assert asked(a_state("a", context_tokens=1000, **long), a_state("b", context_tokens=5000, **long)).too_long == 5000


def test_a_prompt_that_one_who_is_down_could_take_is_not_too_long() -> None:
    long: dict[str, Any] = {"prompt_tokens": 9000, "least_prompt_tokens": 6000}
    down = a_state("b", readiness=Readiness.DOWN)
    assert asked(a_state("a", context_tokens=1000, **long), down).too_long is None


def test_memory_that_is_taken_is_waited_for_but_one_request_always_fits() -> None:
    held: dict[str, Any] = {"kv_bytes": 1000, "kv_bytes_per_token": 1, "prompt_tokens": 600}
    assert asked(a_state("a", in_flight=1, held_tokens=500, **held)).full == ("a",)
    assert asked(a_state("a", in_flight=1, held_tokens=300, **held)).attempts == ("a",)
    assert asked(a_state("a", **{**held, "prompt_tokens": 100_000})).attempts == ("a",)


def test_an_open_breaker_leaves_its_upstream_alone_and_says_for_how_long() -> None:
    choice = asked(a_state("a", circuit=OPEN, reason="closed the connection"), a_state("b", "other"))
    assert choice.attempts == ("b",)
    assert choice.refused == {"a": "left alone for 5.0 s more: closed the connection"}


def test_a_half_open_breaker_lets_one_trial_go_at_its_usual_turn() -> None:
    assert chosen(a_state("a", circuit=HALF_OPEN), a_state("b", "other")) == ("a", "b")
    assert chosen(a_state("a", circuit=ON_TRIAL), a_state("b", "other")) == ("b",)


def test_a_breaker_never_takes_out_the_last_that_could_serve() -> None:
    down = a_state("b", readiness=Readiness.DOWN)
    assert chosen(a_state("a", circuit=OPEN), down) == ("a",)
    assert chosen(a_state("a", circuit=ON_TRIAL), down) == ("a",)


def test_an_open_upstream_is_not_asked_while_another_will_have_room() -> None:
    choice = asked(a_state("a", circuit=OPEN), a_state("b", in_flight=16))
    assert (choice.attempts, choice.full) == ((), ("b",))


def test_who_asked_for_quiet_is_passed_over_while_another_can_serve_and_asked_when_none_can() -> None:
    busy = a_state("a", busy_until=NOW + 30)
    assert chosen(busy, a_state("b", "other")) == ("b",)
    assert asked(busy, a_state("b", in_flight=16)).full == ("b",)
    assert chosen(busy, a_state("b", circuit=OPEN)) == ("a",)


def test_draining_never_serves_though_nobody_else_can() -> None:
    assert asked(a_state("a", intent=Intent.DRAINED, circuit=OPEN)).attempts == ()


def test_sessions_spread_evenly_over_equals_and_each_stays_where_it_was() -> None:
    names = ["edge-a", "edge-b", "edge-c"]
    states = [a_state(name) for name in names]
    first = Counter(chosen(*states, shape=Shape(session=f"s{number}"))[0] for number in range(900))
    assert all(200 < first[name] < 400 for name in names)
    kept = [max(names[:2], key=lambda name: rank(f"s{number}", name)) for number in range(900)]
    moved = sum(
        chosen(*states, shape=Shape(session=f"s{number}"))[0] not in (kept[number], "edge-c") for number in range(900)
    )
    assert moved == 0


circuits = st.sampled_from([Circuit(), OPEN, HALF_OPEN, ON_TRIAL])
state = st.builds(
    UpstreamState,
    name=st.sampled_from("abcdef"),
    serves=st.sampled_from(["x", "y"]),
    in_flight=st.integers(0, 5),
    max_in_flight=st.integers(1, 4),
    readiness=st.sampled_from(Readiness),
    intent=st.sampled_from([Intent.SERVING] * 3 + [Intent.DRAINING, Intent.DRAINED]),
    circuit=circuits,
    busy_until=st.sampled_from([0.0, NOW + 5]),
    works=st.sampled_from([None, (Work.CHAT,), (Work.EMBEDDINGS,)]),
    context_tokens=st.sampled_from([None, 100, 1000]),
    kv_bytes=st.sampled_from([None, 2000]),
    kv_bytes_per_token=st.sampled_from([None, 1, 2]),
    outstanding_tokens=st.integers(0, 10_000),
    held_tokens=st.integers(0, 2000),
    prompt_tokens=st.integers(0, 2000),
    least_prompt_tokens=st.sampled_from([0, 500]),
    matched_bytes=st.sampled_from([0, 0, 512, 1024, 2048]),
)
states_lists = st.lists(state, unique_by=lambda one: one.name, max_size=6)
shapes = st.builds(
    Shape,
    work=st.sampled_from([Work.CHAT, Work.EMBEDDINGS]),
    prompt_bytes=st.just(4096),
    output_tokens=st.integers(0, 2000),
    session=st.text(max_size=5),
)


@given(states=states_lists, shape=shapes)
def test_every_upstream_of_a_route_is_accounted_for_exactly_once(states: list[UpstreamState], shape: Shape) -> None:
    choice = asked(*states, shape=shape)
    names = sorted(one.name for one in states)
    assert sorted([*choice.attempts, *choice.full, *choice.refused]) == names
    assert sorted([*choice.attempts, *choice.why]) == names


@given(states=states_lists, shape=shapes)
def test_nothing_is_asked_that_may_not_serve(states: list[UpstreamState], shape: Shape) -> None:
    by_name = {one.name: one for one in states}
    for name in asked(*states, shape=shape).attempts:
        one = by_name[name]
        assert one.readiness is not Readiness.DOWN
        assert one.intent is Intent.SERVING
        assert one.in_flight < one.max_in_flight
        assert one.works is None or shape.work in one.works
        assert one.context_tokens is None or one.least_prompt_tokens <= one.context_tokens


@given(states=states_lists, shape=shapes)
def test_there_is_somebody_to_ask_or_to_wait_for_whenever_one_can_serve(
    states: list[UpstreamState], shape: Shape
) -> None:
    choice = asked(*states, shape=shape)
    assume(not choice.attempts and not choice.full)
    assert set(choice.why.values()) <= {Why.WORK, Why.CONTEXT, Why.INTENT, Why.DOWN}


@given(states=states_lists, shape=shapes, data=st.data())
def test_the_order_in_which_a_group_is_listed_does_not_matter(
    states: list[UpstreamState], shape: Shape, data: st.DataObject
) -> None:
    group = [msgspec.structs.replace(one, serves="x") for one in states]
    listed = data.draw(st.permutations(group))
    assert chosen(*listed, shape=shape) == chosen(*group, shape=shape)


@given(states=states_lists, shape=shapes)
def test_models_come_in_the_routes_order(states: list[UpstreamState], shape: Shape) -> None:
    ordered = sorted(states, key=lambda one: one.serves)
    by_name = {one.name: one.serves for one in states}
    models = [by_name[name] for name in chosen(*ordered, shape=shape)]
    assert models == sorted(models)


@given(states=states_lists, shape=shapes)
def test_an_explanation_has_a_sentence_for_every_upstream_in_the_order_of_the_choice(
    states: list[UpstreamState], shape: Shape
) -> None:
    route = Route(name="r", upstreams=tuple(one.name for one in states))
    by_name = {one.name: one for one in states}
    said = explain(route, by_name, shape, now=NOW)
    choice = choose(route, by_name, shape, now=NOW)
    assert list(said) == [*choice.attempts, *choice.full, *choice.refused]
    assert all(sentence and "\n" not in sentence for sentence in said.values())


def test_an_explanation_says_what_speaks_for_an_upstream() -> None:
    states = {
        "warm": a_state("warm", matched_bytes=3072, in_flight=1, outstanding_tokens=300),
        "cold": a_state("cold"),
        "gone": a_state("gone", readiness=Readiness.DOWN, reason="connection refused"),
        "full": a_state("full", in_flight=16),
    }
    assert explain(Route(name="r", upstreams=tuple(states)), states, SHAPE, now=NOW) == {
        "warm": "first: has 75% of the prompt in memory, 300 tokens of work before it, 1 of 16 in flight",
        "cold": "if that fails: nothing to do, 0 of 16 in flight",
        "full": "full: 16 of 16 in flight",
        "gone": "connection refused",
    }


def test_an_explanation_says_that_a_last_resort_is_one() -> None:
    said = explain(Route(name="r", upstreams=("a",)), {"a": a_state("a", circuit=OPEN)}, SHAPE, now=NOW)
    assert said["a"].startswith("first: nobody else can serve, though it is left alone for 5.0 s more: it failed")
