"""The budget of all fronts is the sum of what each says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.control.actions.budget import summed
from fleet.vocabulary.contracts.policy_admin import BudgetKind, BudgetLine, BudgetReport, DollarState

LINES = st.lists(
    st.builds(
        BudgetLine,
        kind=st.sampled_from(list(BudgetKind)),
        name=st.sampled_from(["a", "b"]),
        spent_pico=st.integers(0, 10**15),
        reserved_pico=st.integers(0, 10**12),
        tokens=st.integers(0, 10**9),
        requests=st.integers(0, 10**6),
        cap_pico=st.just(10**15),
    ),
    max_size=5,
    unique_by=lambda line: (line.kind, line.name),
)


def report(node: str = "front-1", **changes: object) -> BudgetReport:
    values = {
        "node": node,
        "month": "2026-11",
        "at_seconds": 1_795_000_000.0,
        "month_begins_seconds": 1_793_491_200.0,
        "month_ends_seconds": 1_796_083_200.0,
        **changes,
    }
    return BudgetReport(**values)  # type: ignore[arg-type]


@given(st.lists(LINES, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_every_amount_is_counted_once_in_whatever_order_fronts_answer(
    fronts: list[list[BudgetLine]], random: object
) -> None:
    told = [report(f"front-{number}", lines=tuple(lines), share="0.25") for number, lines in enumerate(fronts)]
    budget = summed(told)
    for name in ("spent_pico", "reserved_pico", "tokens", "requests"):
        every = [line for lines in fronts for line in lines]
        assert sum(getattr(line, name) for line in budget.lines) == sum(getattr(line, name) for line in every)
    assert len({(line.kind, line.name) for line in budget.lines}) == len(budget.lines)
    assert all(line.cap_pico == 10**15 for line in budget.lines)
    random.shuffle(told)  # type: ignore[attr-defined]
    assert set(summed(told).lines) == set(budget.lines)
    assert not budget.warnings


def test_days_are_added_day_by_day() -> None:
    assert summed([report(days_pico=(1, 2)), report("front-2", days_pico=(10, 20, 30))]).days_pico == (11, 22, 30)


def test_a_front_that_still_tells_the_month_before_is_named_and_not_added() -> None:
    line = BudgetLine(kind=BudgetKind.FLEET, name="fleet", spent_pico=5)
    budget = summed([report(lines=(line,)), report("front-2", month="2026-10", lines=(line,))])
    assert budget.lines == (line,)
    assert budget.warnings == ("front-2 still tells 2026-10",)


def test_shares_that_are_more_than_the_whole_are_warned_of() -> None:
    (warning,) = summed([report(share="0.6"), report("front-2", share="1/2")]).warnings
    assert "adds up to 1.1" in warning
    assert not summed([report(share="0.6"), report("front-2", share="0.4")]).warnings
    assert summed([report(share="much")]).warnings == ("a front tells a budget_share that is no number",)


def test_caps_that_differ_count_by_the_least_and_are_warned_of() -> None:
    fronts = [
        report(f"front-{cap}", share="0.5", lines=(BudgetLine(kind=BudgetKind.KEY, name="ci", cap_pico=cap),))
        for cap in (7, 5)
    ]
    budget = summed(fronts)
    assert budget.lines[0].cap_pico == 5
    assert budget.warnings == ("fronts have different caps for key ci: deploy all of them",)


def test_the_worst_state_of_the_dollar_track_is_the_fleets() -> None:
    states = [DollarState.NORMAL, DollarState.CAPPED, DollarState.DOWNGRADED, None]
    fronts = [report(f"front-{number}", dollar=state, share="0.1") for number, state in enumerate(states)]
    assert summed(fronts).dollar is DollarState.CAPPED
    assert summed([report()]).dollar is None
