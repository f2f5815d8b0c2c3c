"""What is reserved: never less than the bill that the same prices allow."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.budget.reserve import (
    IMAGE_TOKENS,
    Prompt,
    Rates,
    bound,
    clamped_max_tokens,
    cost_of_usage,
    reported_pico,
)
from fleet.traffic.budget.tokens_per_byte import LEAST_SEEN, TokensPerByte
from fleet.traffic.config import Price
from fleet.vocabulary.money import NotMoney

OPUS = Rates.of(Price(prompt="0.000005", completion="0.000025", request="0.001", image="0.002"))
PROMPT = Prompt(text_bytes=4000, messages=3, tool_bytes=1000)


def test_a_reservation_is_every_token_that_could_be_at_its_price_and_the_fees() -> None:
    found = bound(replace(PROMPT, images=2), OPUS, max_tokens=8192, choices=2)
    assert found is not None
    assert found.prompt_tokens == 4000 + 1000 + 48 + 2 * IMAGE_TOKENS
    assert found.completion_tokens == 2 * 8192
    assert found.pico == found.prompt_tokens * 5_000_000 + 16384 * 25_000_000 + 10**9 + 2 * 2 * 10**9


def test_the_dearest_conditions_are_what_is_reserved_and_what_is_sent_as_max_price() -> None:
    most = Price(prompt="0.00001", completion="0.00002")
    rates = Rates.of(Price(prompt="0.000005", completion="0.000025", cached="0.00002", request="0.001"), most)
    assert rates == Rates(prompt=20_000_000, completion=25_000_000, request=10**9)
    assert json.dumps(rates.max_price()) == '{"prompt": 20.0, "completion": 25.0, "request": 0.001, "image": 0.0}'
    assert Rates.of(Price(prompt="0.0000000028")).max_price()["prompt"] == 0.0028


def test_a_price_finer_than_can_be_counted_is_rounded_up() -> None:
    assert Rates.of(Price(prompt="0.0000000000000001")).prompt == 1
    with pytest.raises(NotMoney):
        Rates.of(Price(prompt="free"))
    assert Rates.of(Price()).free
    assert not OPUS.free


@pytest.mark.parametrize(
    ("asked", "most", "found"),
    [(None, None, 8192), (0, None, 8192), (-5, None, 8192), (100, None, 100), (9000, 4096, 4096), (None, 100, 100)],
)
def test_an_answer_without_a_bound_gets_one(asked: int | None, most: int | None, found: int) -> None:
    assert clamped_max_tokens(asked, 8192, most) == found


def test_the_guess_from_earlier_prompts_is_used_until_less_than_twenty_such_requests_are_left() -> None:
    def tokens(headroom: int | None) -> int:
        found = bound(PROMPT, OPUS, max_tokens=100, guessed_tokens=1500, headroom_pico=headroom)
        assert found is not None
        return found.prompt_tokens

    guessed = OPUS.cost(prompt_tokens=1500, completion_tokens=100)
    assert tokens(None) == tokens(20 * guessed) == 1500
    assert tokens(20 * guessed - 1) == PROMPT.most_tokens


def test_a_prompt_is_never_more_than_its_bytes_nor_than_the_model_holds() -> None:
    guess = bound(PROMPT, OPUS, max_tokens=1, guessed_tokens=10**9)
    assert guess is not None
    assert guess.prompt_tokens == PROMPT.most_tokens
    held = bound(PROMPT, OPUS, max_tokens=1, context_tokens=2000)
    assert held is not None
    assert held.prompt_tokens == 2000


def test_a_part_that_nothing_bounds_is_bounded_by_the_model_s_context_or_not_at_all() -> None:
    unbounded = Prompt(text_bytes=10, unbounded=True)
    assert bound(unbounded, OPUS, max_tokens=1) is None
    found = bound(unbounded, OPUS, max_tokens=1, context_tokens=200_000, guessed_tokens=5)
    assert found is not None
    assert found.prompt_tokens == 200_000


@given(
    text=st.integers(0, 10**6),
    tools=st.integers(0, 10**5),
    messages=st.integers(1, 200),
    output=st.integers(1, 10**5),
    used=st.floats(0, 1),
    said=st.floats(0, 1),
    prices=st.tuples(*[st.integers(0, 10**8)] * 3),
)
def test_no_bill_within_the_prices_and_the_tokens_is_above_the_reservation(
    text: int, tools: int, messages: int, output: int, used: float, said: float, prices: tuple[int, int, int]
) -> None:
    rates = Rates(*prices)
    found = bound(Prompt(text, messages, tools), rates, max_tokens=output)
    assert found is not None
    usage = {"prompt_tokens": int((text + tools) * used), "completion_tokens": int(output * said)}
    bill = cost_of_usage(rates, usage)
    assert bill is not None
    assert 0 <= bill <= found.pico


def test_without_both_counts_no_cost_is_made_up() -> None:
    assert cost_of_usage(OPUS, {"prompt_tokens": 5}) is None
    assert cost_of_usage(OPUS, {"prompt_tokens": "5", "completion_tokens": 1}) is None


def test_a_reported_cost_is_read_exactly_and_one_s_own_provider_key_is_counted_on_top() -> None:
    assert reported_pico("0.00014") == 140_000_000
    assert reported_pico("0.0000000000001") == 1
    assert reported_pico("0.01", "0.02") == 30 * 10**9
    assert reported_pico(None) is None


def test_a_percentile_is_not_told_before_a_thousand_prompts() -> None:
    seen = TokensPerByte()
    for _ in range(LEAST_SEEN - 1):
        seen.saw(4000, 1000)
    seen.saw(100, 100)
    assert seen.upper(4000) is None
    seen.saw(4000, 1000)
    assert seen.upper(4000) == 1300 + 1024


def test_one_dense_prompt_in_a_hundred_is_within_the_bound_of_all() -> None:
    seen = TokensPerByte()
    for number in range(10_000):
        seen.saw(4096, 3000 if number % 100 == 0 else 1024)
    upper = seen.upper(4096)
    assert upper is not None
    assert upper >= 3000


def test_old_prompts_fade_and_counting_stays_of_one_size() -> None:
    seen = TokensPerByte()
    for _ in range(200_000):
        seen.saw(512, 128)
    assert seen.seen < 64_000
    for _ in range(64_000):
        seen.saw(512, 512)
    assert seen.upper(1000) == 1300 + 1024
