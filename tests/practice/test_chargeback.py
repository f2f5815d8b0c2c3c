"""What a month cost by team: nothing is lost, nothing is invented."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.practice.chargeback import UNUSED, Use, as_csv, charges, node_cost_pico, shared
from fleet.traffic.policy import OwnCost, Team
from fleet.vocabulary.money import PICO_PER_USD, pico

MONTH_SECONDS = 30 * 86400.0
TEAMS = (Team(name="research", cost_centre="4711"), Team(name="web", cost_centre="=4712"))
STUDIO = OwnCost(usd_per_month="120", watts=150.0, idle_watts=10.0, usd_per_kwh="0.30")

USES = st.lists(
    st.builds(
        Use,
        team=st.sampled_from(["research", "web", ""]),
        person=st.sampled_from(["anna", "ben"]),
        key=st.sampled_from(["k1", "k2"]),
        node=st.sampled_from(["", "mini-1", "mini-2", "mini-3"]),
        requests=st.integers(0, 10**6),
        prompt_tokens=st.integers(0, 10**9),
        completion_tokens=st.integers(0, 10**9),
        busy_seconds=st.integers(0, 10**6).map(float),
        api_pico=st.integers(0, 10**15),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(USES, st.randoms(use_true_random=False))
def test_every_row_of_the_month_is_in_the_report_once_whatever_their_order(uses: list[Use], random: object) -> None:
    costs = {"mini-1": STUDIO, "mini-2": OwnCost(usd_per_month="99.99")}
    rows = charges(uses, costs=costs, teams=TEAMS, month_seconds=MONTH_SECONDS)
    for name in ("requests", "prompt_tokens", "completion_tokens", "api_pico", "busy_seconds"):
        assert sum(getattr(row, name) for row in rows) == sum(getattr(use, name) for use in uses)
    for node, cost in costs.items():
        busy = sum(use.busy_seconds for use in uses if use.node == node)
        whole = node_cost_pico(cost, month_seconds=MONTH_SECONDS, busy_seconds=busy)
        assert sum(row.own_pico or 0 for row in rows if row.node == node) == whole
    assert all(row.own_pico is None for row in rows if row.node == "mini-3")
    random.shuffle(uses)  # type: ignore[attr-defined]
    assert charges(uses, costs=costs, teams=TEAMS, month_seconds=MONTH_SECONDS) == rows


@given(st.integers(0, 10**18), st.lists(st.floats(0, 1e9), min_size=1, max_size=20).filter(any))
def test_parts_add_up_to_the_whole_and_none_is_negative(whole: int, weights: list[float]) -> None:
    parts = shared(whole, weights)
    assert sum(parts) == whole
    assert all(part >= 0 for part in parts)


def test_the_cost_of_a_node_follows_from_its_stated_inputs() -> None:
    idle = node_cost_pico(STUDIO, month_seconds=MONTH_SECONDS, busy_seconds=0)
    assert idle == pico("120") + pico("2.16")  # 10 W for 720 h at 0.30
    busy = node_cost_pico(STUDIO, month_seconds=MONTH_SECONDS, busy_seconds=100 * 3600.0)
    assert busy - idle == pico("4.2")  # 140 W more for 100 h
    assert node_cost_pico(STUDIO, month_seconds=MONTH_SECONDS, busy_seconds=1e12) == pico("120") + pico("32.4")


def test_a_node_that_nobody_used_is_nobodys_cost() -> None:
    (row,) = charges([], costs={"mini-1": OwnCost(usd_per_month="50")}, teams=(), month_seconds=MONTH_SECONDS)
    assert (row.team, row.node, row.own_pico) == (UNUSED, "mini-1", 50 * PICO_PER_USD)


def test_the_spreadsheet_has_all_digits_and_no_formula() -> None:
    uses = [Use(team="web", person="-ben", key="k", api_pico=145_250_000, requests=1)]
    text = as_csv(charges(uses, costs={}, teams=TEAMS, month_seconds=MONTH_SECONDS), month="2026-11")
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["api_usd"] == "0.00014525"
    assert (row["cost_centre"], row["person"]) == ("'=4712", "'-ben")
    assert row["own_usd_imputed"] == "0"


@pytest.mark.parametrize("node", ["mini-1"])
def test_what_nobody_stated_is_unknown_and_not_free(node: str) -> None:
    uses = [Use(team="web", person="ben", key="k", node=node, requests=1, busy_seconds=5.0)]
    rows = charges(uses, costs={}, teams=(), month_seconds=MONTH_SECONDS)
    assert rows[0].own_pico is None
    assert as_csv(rows, month="2026-11").splitlines()[1].endswith(",")
