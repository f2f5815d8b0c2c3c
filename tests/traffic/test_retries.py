"""How many requests may be asked again elsewhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.config import Retries
from fleet.traffic.retries import RetryBudget


def test_a_full_budget_pays_for_a_burst_and_then_for_nothing() -> None:
    settings = Retries(ratio=0.1, burst=2)
    budget: RetryBudget | None = RetryBudget.full(settings)
    for _ in range(2):
        assert budget is not None
        budget = budget.attempt(settings)
    assert budget is not None
    assert budget.attempt(settings) is None


def test_no_burst_means_no_further_attempt_ever() -> None:
    settings = Retries(ratio=0.5, burst=0)
    assert RetryBudget.full(settings).request(settings).request(settings).attempt(settings) is None


def test_a_smaller_burst_of_a_new_configuration_holds_at_once() -> None:
    budget = RetryBudget.full(Retries(burst=20))
    smaller = Retries(burst=1)
    spent = budget.attempt(smaller)
    assert spent is not None
    assert spent.attempt(smaller) is None


@given(
    ratio=st.floats(0.0, 1.0),
    burst=st.integers(0, 10),
    steps=st.lists(st.booleans(), max_size=200),
)
def test_attempts_never_exceed_the_burst_and_the_ratio_of_all_requests(
    ratio: float, burst: int, steps: list[bool]
) -> None:
    settings = Retries(ratio=ratio, burst=burst)
    budget, requests, attempts = RetryBudget.full(settings), 0, 0
    for is_request in steps:
        if is_request:
            budget, requests = budget.request(settings), requests + 1
        elif (after := budget.attempt(settings)) is not None:
            budget, attempts = after, attempts + 1
        assert attempts <= burst + ratio * requests + 1e-6
        assert 0.0 <= budget.left <= burst
