"""Promote, hold or demote: right where it was planted, quiet where nothing differs, silent where little is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measured_kit import drawn

from fleet.practice.harness.bootstrap import bootstrap, sign_test
from fleet.practice.harness.compare import Word, compare
from fleet.practice.harness.difference import Side
from fleet.practice.harness.terms import Terms

QUICK = Terms(resamples=150)


def words(count: int, *, terms: Terms = QUICK, **of_b: object) -> list[Word]:
    """The verdicts of `count` independent pairs; B has what is given, A the common rates."""
    return [compare(drawn("a", seed=2 * n), drawn("b", seed=2 * n + 1, **of_b), terms=terms).word for n in range(count)]


def test_of_100_comparisons_of_a_model_with_itself_at_least_95_hold() -> None:
    found = words(100)
    assert found.count(Word.HOLD) >= 95, found


@pytest.mark.long
def test_of_1000_comparisons_at_the_shipped_terms_at_least_950_hold() -> None:
    found = words(1000, terms=Terms())
    assert found.count(Word.HOLD) >= 950


def test_better_answers_promote() -> None:
    assert words(20, passing=1.0, terms=replace(QUICK, least_calls=99)).count(Word.PROMOTE) >= 1
    much_better = [
        compare(drawn("a", seed=n, passing=0.4), drawn("b", seed=99 + n, passing=0.95), terms=QUICK) for n in range(20)
    ]
    assert {one.word for one in much_better} == {Word.PROMOTE}
    assert "answers are better" in much_better[0].reasons[0]


def test_worse_answers_demote_however_much_is_saved() -> None:
    found = [
        compare(drawn("a", seed=n), drawn("b", seed=99 + n, passing=0.2, pico=1, seconds=0.1), terms=QUICK)
        for n in range(20)
    ]
    assert {one.word for one in found} == {Word.DEMOTE}


def test_worse_tool_calls_demote_though_answers_are_as_good() -> None:
    a, b = drawn("a", seed=1, calling=1.0), drawn("b", seed=1, calling=0.5)
    verdict = compare(a, replace(b, results=[_as(x, y) for x, y in zip(b.results, a.results, strict=True)]))
    assert (verdict.word, verdict.differences[0].side) == (Word.DEMOTE, Side.SAME)
    assert "tool calls are worse" in verdict.reasons[0]


def _as(one, other):  # type: ignore[no-untyped-def]
    """`one` with the outcome of `other`."""
    import msgspec

    return msgspec.structs.replace(one, outcome=other.outcome)


def same(seed: int, **of_b: object):  # type: ignore[no-untyped-def]
    """Two that answer alike, prompt by prompt, and differ in what is given."""
    a, b = drawn("a", seed=seed), drawn("b", seed=seed, **of_b)
    return a, replace(b, results=[_as(x, y) for x, y in zip(b.results, a.results, strict=True)])


def test_half_the_price_promotes_where_answers_are_as_good() -> None:
    verdict = compare(*same(3, pico=500_000))
    assert verdict.word is Word.PROMOTE
    assert "cost is lower: 0.50 times" in verdict.reasons[0]


def test_twice_the_price_for_the_same_answers_demotes() -> None:
    assert compare(*same(3, pico=2_000_000)).word is Word.DEMOTE


def test_cheaper_but_slower_is_for_a_person_to_choose() -> None:
    verdict = compare(*same(3, pico=500_000, seconds=8.0))
    assert verdict.word is Word.HOLD
    assert verdict.reasons[-1] == "better in one thing and worse in another: a person has to choose"


def test_cheaper_holds_while_answers_may_be_much_worse() -> None:
    """Few prompts, answers that differ here and there: 0.1 times the price is no reason to take the risk."""
    verdict = compare(drawn("a", seed=5, prompts=32), drawn("b", seed=6, prompts=32, pico=100_000), terms=Terms())
    assert verdict.word is Word.HOLD
    assert "points worse; more prompts or repeats would tell" in verdict.reasons[-1]


def test_free_is_cheaper_than_any_price_and_two_free_ones_are_equal() -> None:
    assert compare(*same(3, pico=0)).word is Word.PROMOTE
    a, b = drawn("a", seed=3, pico=0), drawn("b", seed=3, pico=0)
    assert (compare(a, b).word, compare(a, b).differences[2].why) == (Word.HOLD, "both are free")


def test_an_unknown_price_says_nothing_of_cost() -> None:
    verdict = compare(*same(3, pico=None))
    assert (verdict.word, verdict.differences[2].side) == (Word.HOLD, Side.UNKNOWN)


def test_below_the_minimum_there_is_no_verdict_however_large_the_difference() -> None:
    verdict = compare(drawn("a", seed=1, prompts=29, passing=0.0), drawn("b", seed=2, prompts=29, passing=1.0))
    assert (verdict.word, verdict.prompts) == (Word.NO_VERDICT, 29)
    assert verdict.reasons == ("29 prompts were measured at both; a verdict needs 30",)


def test_a_prompt_that_was_edited_between_two_runs_is_not_compared() -> None:
    a, b = drawn("a", seed=1), drawn("b", seed=2)
    edited = replace(b, digests={name: digest + "'" if name < "p25" else digest for name, digest in b.digests.items()})
    assert compare(a, edited).prompts == 25


def test_the_same_two_give_the_same_verdict_in_whatever_order_their_lines_are() -> None:
    a, b = drawn("a", seed=1), drawn("b", seed=2)
    assert compare(a, b) == compare(replace(a, results=list(reversed(a.results))), b)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.floats(0.0, 1.0), st.sampled_from([1, 3]))
def test_what_promotes_one_way_demotes_or_holds_the_other(seed: int, passing: float, repeats: int) -> None:
    a = drawn("a", seed=seed, repeats=repeats)
    b = drawn("b", seed=seed + 1, repeats=repeats, passing=passing)
    there, back = compare(a, b, terms=QUICK).word, compare(b, a, terms=QUICK).word
    assert there is Word.HOLD or there is not back


def test_the_sign_test_is_exact() -> None:
    assert (sign_test(0, 0), sign_test(5, 5), sign_test(6, 0)) == (1.0, 1.0, 2 / 64)
    assert sign_test(0, 7) == sign_test(7, 0) == 2 / 128


def test_an_interval_of_a_resample_holds_the_figure_itself() -> None:
    values = [float(n % 5) for n in range(40)]
    ((low, high),) = bootstrap(40, [lambda s: sum(values[i] for i in s) / 40], resamples=500, confidence=0.98, seed=1)
    assert low < 2.0 < high
