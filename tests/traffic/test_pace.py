"""The window of answers: nothing is lost, nothing is counted twice, what is old goes, like stays with like."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.pace import (
    LEAST_TOKENS,
    RECENT_SECONDS,
    RECENT_SLOTS,
    SLOTS,
    WINDOW_SECONDS,
    Decoding,
    PaceWindow,
    bucket_of,
)

ANSWERS = st.builds(
    Decoding,
    at_once=st.floats(0, 300),
    tokens=st.integers(0, 100_000),
    seconds=st.integers(1, 1000).map(lambda eighths: eighths / 8),  # sums of eighths are exact
    first_token_seconds=st.floats(0, 2000),
)
SLOT_SECONDS = WINDOW_SECONDS / SLOTS


def decoding(tokens: int = 100, seconds: float = 2.0, *, at_once: float = 1.0, first: float = 0.5) -> Decoding:
    return Decoding(at_once=at_once, tokens=tokens, seconds=seconds, first_token_seconds=first)


@given(st.lists(st.tuples(st.integers(0, 1000), ANSWERS), max_size=40), st.integers(0, 300))
def test_every_answer_of_the_window_is_counted_once_and_no_old_one(
    told: list[tuple[int, Decoding]], later: int
) -> None:
    window = PaceWindow()
    told = sorted(told, key=lambda one: one[0])
    for at, answer in told:
        window.add(at, answer)
    now = (told[-1][0] if told else 0) + later
    rows = window.rows(now)
    young = [answer for at, answer in told if now - at <= WINDOW_SECONDS]
    at_most = [answer for at, answer in told if now - at <= WINDOW_SECONDS + SLOT_SECONDS]
    for field in ("tokens", "seconds"):
        least, most = (sum(getattr(one, field) for one in some) for some in (young, at_most))
        assert least <= sum(getattr(row, field) for row in rows) <= most
    assert len(young) <= sum(row.answers for row in rows) <= len(at_most)


@given(st.lists(ANSWERS, max_size=40))
def test_each_bucket_is_the_sum_of_its_own_answers(answers: list[Decoding]) -> None:
    window = PaceWindow()
    for answer in answers:
        window.add(50.0, answer)
    rows = {row.at_once: row for row in window.rows(50.0)}
    assert list(rows) == sorted({bucket_of(one.at_once) for one in answers})
    for bucket, row in rows.items():
        own = [one for one in answers if bucket_of(one.at_once) == bucket]
        assert (row.answers, row.tokens) == (len(own), sum(one.tokens for one in own))
        assert row.seconds == sum(one.seconds for one in own)


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=50))
def test_the_median_of_first_tokens_is_right_to_five_percent(firsts: list[float]) -> None:
    window = PaceWindow()
    for first in firsts:
        window.add(0.0, decoding(first=first))
    (row,) = window.rows(0.0)
    exact = sorted(firsts)[(len(firsts) - 1) // 2]
    assert row.first_token_seconds == pytest.approx(exact, rel=0.0501)


@given(st.floats(0, 1e6))
def test_a_bucket_is_a_power_of_two_and_the_nearest(at_once: float) -> None:
    bucket = bucket_of(at_once)
    assert bucket.bit_count() == 1
    assert abs(math.log2(bucket) - math.log2(max(at_once, 1.0))) <= 0.5 + 1e-9


def test_the_recent_window_has_forgotten_what_two_samples_of_an_agent_are_away() -> None:
    recent = PaceWindow(window_seconds=RECENT_SECONDS, slots=RECENT_SLOTS)
    recent.add(100.0, decoding())
    assert recent.rows(100.0 + RECENT_SECONDS) != ()
    assert recent.rows(100.0 + RECENT_SECONDS + 2.0) == ()


@given(st.lists(st.integers(0, 100_000), max_size=200))
def test_what_is_kept_is_bounded(times: list[int]) -> None:
    window = PaceWindow()
    for at in sorted(times):
        window.add(at, decoding())
    assert len(window._slots) <= SLOTS + 1


def test_an_empty_window_has_no_rows() -> None:
    window = PaceWindow()
    assert window.rows(0.0) == ()
    window.add(10.0, decoding())
    assert window.rows(10.0 + WINDOW_SECONDS)
    assert window.rows(11.0 + WINDOW_SECONDS + SLOT_SECONDS) == ()


@pytest.mark.parametrize(
    ("answer", "speaks"),
    [
        (decoding(), True),
        (decoding(LEAST_TOKENS, 0.2), True),
        (decoding(LEAST_TOKENS - 1, 0.2), False),
        (decoding(3, 40.0), True),
        (decoding(0, 40.0), True),
        (decoding(0, 0.0), False),
        (decoding(-1, 40.0), False),
        (decoding(500, 0.0), False),
        (decoding(500, 0.001), False),
    ],
)
def test_a_few_tokens_speak_only_when_they_took_long_and_never_in_one_piece(answer: Decoding, speaks: bool) -> None:
    assert answer.speaks is speaks
