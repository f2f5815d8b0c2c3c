"""Limits per minute and at once: never more in any minute, and never less than could be given."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.keyring import KeyLimits
from fleet.traffic.limits import MINUTE_SECONDS, SLOT_SECONDS, Meters, Minute, TooMuch

STEPS = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 30)), max_size=80)


@given(STEPS, st.integers(1, 50))
def test_no_minute_has_more_than_the_limit_wherever_it_begins(steps: list[tuple[float, int]], limit: int) -> None:
    minute, now, let = Minute(), 1e9, []
    for pause, units in steps:
        now += pause
        if minute.wait_seconds(units, limit, now) == 0.0:
            minute.add(units, now)
            let.append((now, units))
    for begin, _ in let:
        assert sum(units for at, units in let if begin <= at < begin + MINUTE_SECONDS) <= limit


@given(STEPS, st.integers(1, 50), st.integers(1, 60))
def test_after_the_wait_that_is_told_it_fits_and_a_slot_earlier_it_does_not(
    steps: list[tuple[float, int]], limit: int, units: int
) -> None:
    minute, now = Minute(), 1e9
    for pause, used in steps:
        now += pause
        if minute.wait_seconds(used, limit, now) == 0.0:
            minute.add(used, now)
    wait = minute.wait_seconds(units, limit, now)
    if wait is None:
        assert units > limit
    elif wait:
        assert minute.wait_seconds(units, limit, now + max(0.0, wait - 2 * SLOT_SECONDS)) != 0.0 or wait <= SLOT_SECONDS
        assert minute.wait_seconds(units, limit, now + wait + SLOT_SECONDS) == 0.0


def test_a_clock_that_is_set_back_lives_no_minute_twice() -> None:
    minute = Minute()
    minute.add(10, 1000.0)
    assert minute.wait_seconds(1, 10, 500.0) != 0.0
    minute.add(0, 500.0)
    assert minute.used == 10


def test_memory_is_bounded_by_the_slots_of_a_minute() -> None:
    minute = Minute()
    for step in range(100_000):
        minute.add(1, 1e9 + step * 0.01)
    assert len(minute._slots) <= 241
    assert minute.used <= 6_025


@given(st.lists(st.tuples(st.integers(0, 100), st.one_of(st.none(), st.integers(0, 200))), max_size=40))
def test_what_was_predicted_is_replaced_by_what_was_used(requests: list[tuple[int, int | None]]) -> None:
    meters = Meters()
    limits = KeyLimits(tokens_per_minute=10**9, concurrency=10**6)
    ends: list[tuple[Callable[[int | None, float], None], int | None]] = []
    for predicted, used in requests:
        entered = meters.enter((("anna", limits),), tokens=predicted, now=5.0)
        assert not isinstance(entered, TooMuch)
        ends.append((entered, used))
    for left, used in ends:
        left(used, 5.0)
        left(used, 5.0)  # a second end is none
    if requests:
        meter = meters._of("anna", 5.0)
        assert meter.at_once == 0
        assert meter.tokens.used == sum(predicted if used is None else used for predicted, used in requests)


def test_a_request_that_its_team_has_no_room_for_is_not_counted_against_its_key() -> None:
    meters = Meters()
    key, team = ("anna", KeyLimits(requests_per_minute=5)), ("team research", KeyLimits(concurrency=1))
    first = meters.enter((key, team), tokens=0, now=1.0)
    assert not isinstance(first, TooMuch)
    refused = meters.enter((key, team), tokens=0, now=1.0)
    assert isinstance(refused, TooMuch)
    assert refused.sentence == "team research may have 1 request at once, and has"
    first(None, 2.0)
    for _ in range(4):
        entered = meters.enter((key, team), tokens=0, now=2.0)
        assert not isinstance(entered, TooMuch)
        entered(None, 2.0)
    assert isinstance(meters.enter((key, team), tokens=0, now=2.0), TooMuch)


def test_what_can_never_fit_says_so_instead_of_when() -> None:
    refused = Meters().enter((("anna", KeyLimits(tokens_per_minute=100)),), tokens=101, now=1.0)
    assert isinstance(refused, TooMuch)
    assert refused.retry_after_seconds is None
    assert "can never be" in refused.sentence


def test_keys_that_rest_are_forgotten_when_there_are_too_many() -> None:
    meters = Meters(most=10)
    for number in range(50):
        entered = meters.enter(((f"key-{number}", KeyLimits(requests_per_minute=1)),), tokens=0, now=number * 100.0)
        assert not isinstance(entered, TooMuch)
        entered(0, number * 100.0)
    assert len(meters) <= 11


@pytest.mark.parametrize("limits", [KeyLimits(), KeyLimits(monthly_usd="5")])
def test_a_key_without_such_limits_is_not_measured(limits: KeyLimits) -> None:
    meters = Meters()
    assert not isinstance(meters.enter((("anna", limits),), tokens=10**12, now=0.0), TooMuch)
    assert len(meters) == 0
