"""Wilson's interval against figures from the literature, and its shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.actions.graypool import wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"), [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]
)
def test_the_interval_is_that_of_newcombes_table(successes: int, trials: int, low: float, high: float) -> None:
    found = wilson(successes, trials) or ()
    assert list(found) == pytest.approx([low, high], abs=5e-5)


@given(st.integers(1, 10**6).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_the_share_lies_in_its_interval(counts: tuple[int, int]) -> None:
    successes, trials = counts
    low, high = wilson(successes, trials) or (1.0, 0.0)
    assert 0.0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1.0


def test_of_no_trials_nothing_is_known() -> None:
    assert wilson(0, 0) is None
