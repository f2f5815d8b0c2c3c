"""How many tokens a request will be."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.estimate import EXPECTED_OUTPUT_TOKENS, TokenRatio, expected_output_tokens
from fleet.traffic.work import Shape, Work


@given(told=st.lists(st.tuples(st.integers(-10, 10**9), st.integers(-10, 10**9)), max_size=50))
def test_whatever_an_engine_counts_the_ratio_stays_a_sane_number(told: list[tuple[int, int]]) -> None:
    ratio = TokenRatio()
    for prompt_bytes, prompt_tokens in told:
        ratio = ratio.learned(prompt_bytes, prompt_tokens)
        assert math.isfinite(ratio.tokens_per_byte)
        assert 1 / 12 <= ratio.tokens_per_byte <= 1


@given(real=st.floats(1 / 12, 1.0))
def test_it_comes_to_what_the_tokenizer_does(real: float) -> None:
    ratio = TokenRatio()
    for _ in range(60):
        ratio = ratio.learned(10_000, round(10_000 * real))
    assert abs(ratio.tokens_per_byte - real) < 0.01


def test_one_odd_prompt_moves_it_little() -> None:
    ratio = TokenRatio()
    for _ in range(20):
        ratio = ratio.learned(10_000, 2_500)
    assert ratio.learned(10_000, 10_000_000).tokens_per_byte < 0.33


def test_a_tiny_prompt_says_nothing() -> None:
    assert TokenRatio().learned(20, 19) == TokenRatio()


@given(prompt_bytes=st.integers(-5, 10**9), seen=st.integers(0, 20))
def test_what_is_certain_is_never_more_than_what_is_expected(prompt_bytes: int, seen: int) -> None:
    ratio = TokenRatio(0.25, seen)
    assert 0 <= ratio.least_tokens(prompt_bytes) <= ratio.tokens(prompt_bytes)


def test_an_unknown_tokenizer_is_certain_of_little() -> None:
    assert TokenRatio().least_tokens(12_000) == 1000
    assert TokenRatio(0.3, 8).least_tokens(10_000) == 1500


def test_an_answer_is_expected_to_be_moderate_and_never_longer_than_allowed() -> None:
    assert expected_output_tokens(Shape(output_tokens=50)) == 50
    assert expected_output_tokens(Shape(output_tokens=100_000)) == EXPECTED_OUTPUT_TOKENS
    assert expected_output_tokens(Shape()) == EXPECTED_OUTPUT_TOKENS
    assert expected_output_tokens(Shape(work=Work.EMBEDDINGS)) == 0
