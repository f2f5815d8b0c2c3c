"""Buckets tell quantiles to 2 %, and the buckets of several fronts are those of all their values."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from fleet.vocabulary.quantiles import counted, quantile, together

values = st.lists(st.floats(min_value=1e-6, max_value=1e9), min_size=1, max_size=80)


@given(values, st.floats(min_value=0, max_value=1))
def test_a_quantile_is_within_two_percent_of_the_true_one(some: list[float], share: float) -> None:
    true = sorted(some)[max(math.ceil(share * len(some)), 1) - 1]
    told = quantile(counted(some), share)
    assert told is not None
    assert abs(told - true) <= 0.0201 * true


@given(values, values)
def test_the_counts_of_two_fronts_are_those_of_all_their_values(one: list[float], two: list[float]) -> None:
    assert together([counted(one), counted(two)]) == counted(one + two)


def test_nothing_has_no_quantile_and_zero_is_zero() -> None:
    assert quantile({}, 0.5) is None
    assert quantile(counted([0, 0, -1.0]), 0.95) == 0.0
