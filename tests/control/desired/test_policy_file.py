"""From the inventory's budgets, labels and tracks to the policy of a front: amounts are what was written, exactly."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.desired.apiupstreams import most_per_token, plain, price_per_token
from fleet.control.desired.policyfile import dollar_terms, equal_part, gray_terms, policy_of, track_terms
from fleet.control.desired.roster import Roster
from fleet.control.inventory import Node
from fleet.control.inventory.budgeting import CapSetting, DollarSetting
from fleet.control.inventory.serving import MostSetting, PriceSetting, route_of
from fleet.testing.inventories import inventory_of
from fleet.traffic.policy import GrayTerms, TrackTerms
from fleet.vocabulary.money import pico
from fleet.vocabulary.names import GatewayRole, NodeName, Sensitivity

INVENTORY = """\
all:
  hosts:
    front-1: {own_cost: {usd_per_month: 41.5, watts: 60, usd_per_kwh: 0.31}}
    front-2:
    mini-1:
  vars:
    budgets:
      dollar: {monthly_usd: 800, ticket_usd: null}
      token: {monthly_usd: 300.10, monthly_tokens: 2000000000}
      timezone: Europe/Berlin
      alerts: [0.9]
    labels: {repos: {customers/*: restricted}, scan: paid, taint_days: 30}
    teams: {research: {cost_centre: "4711", monthly_usd: 40.5}}
    routes:
      cheap: {models: [flash], track: token, gray: owl}
      owl: {models: [owl], track: gray, share: 0.1, least_calls: 400, suspend: 2h, folds_to: cheap}
    upstreams:
      openrouter: {models: {flash: a/flash, owl: a/owl}}
"""


def rosters() -> dict[NodeName, Roster]:
    nodes: dict[NodeName, Node] = dict(inventory_of(INVENTORY).nodes)
    role = {"front-1": GatewayRole.FRONT, "front-2": GatewayRole.FRONT, "mini-1": GatewayRole.EDGE}
    return {name: Roster(node=node, layout=node.settings.layout(), role=role[name]) for name, node in nodes.items()}


def test_a_front_gets_what_the_inventory_says() -> None:
    found = rosters()
    policy = policy_of(found[NodeName("front-1")], found)
    assert policy.ledger_file == "/opt/fleet/var/gateway/ledger.sqlite"
    assert policy.budget_share == "0.5"
    assert policy.dollar is not None
    assert (policy.dollar.monthly_usd, policy.dollar.ticket_usd) == ("800", None)
    assert policy.tracks == {"token": TrackTerms(monthly_usd="300.1", monthly_tokens=2_000_000_000)}
    assert (policy.budget_tz, policy.alerts) == ("Europe/Berlin", ("0.9",))
    assert [(repo.pattern, repo.sensitivity) for repo in policy.repos] == [("customers/*", Sensitivity.RESTRICTED)]
    assert (policy.scanning.scan, policy.scanning.taint_days) == ("paid", 30)
    assert [(team.name, team.cost_centre, team.limits.monthly_usd) for team in policy.teams] == [
        ("research", "4711", "40.5")
    ]
    assert {name: cost.usd_per_month for name, cost in policy.own_costs.items()} == {"front-1": "41.5"}


def test_a_gray_route_has_its_terms_and_says_nothing_that_was_not_said() -> None:
    routes = rosters()[NodeName("front-1")].node.settings.routes
    terms = gray_terms(route_of(routes["owl"]))
    assert terms == GrayTerms(share="0.1", least_calls=400, suspend_seconds=7200.0)
    assert gray_terms(route_of(["a"])) == GrayTerms()


@given(st.integers(1, 500))
def test_the_parts_of_all_fronts_are_together_never_more_than_the_whole(fronts: int) -> None:
    part = Fraction(equal_part(fronts))
    assert part * fronts <= 1
    assert part * fronts > Fraction(999_999, 1_000_000)
    assert len(equal_part(fronts)) <= 13


@given(st.decimals("0", "1000000", places=6))
def test_an_amount_of_an_inventory_is_the_same_amount_of_the_policy(amount: Decimal) -> None:
    written = float(amount)
    assert Decimal(plain(written)) == Decimal(str(written))
    assert "e" not in plain(written).lower()
    assert pico(plain(written)) == Decimal(str(written)) * 10**12


def test_what_is_reserved_goes_by_the_dearest_price_and_never_below_the_plain_one() -> None:
    most = MostSetting(prompt_per_million=10, completion_per_million=1)
    price = PriceSetting(
        prompt_per_million=5, completion_per_million=25, request=0.01, cached_per_million=0.5, most=most
    )
    dearest = most_per_token(price)
    assert dearest is not None
    assert (dearest.prompt, dearest.completion, dearest.request) == ("0.00001", "0.000025", "0.01")
    assert price_per_token(price).cached == "0.0000005"
    assert most_per_token(PriceSetting(prompt_per_million=5)) is None


def test_a_cap_may_be_of_money_or_tokens_alone() -> None:
    assert track_terms(CapSetting(monthly_tokens=5)) == TrackTerms(monthly_tokens=5)
    assert track_terms(CapSetting(monthly_usd=0)) == TrackTerms(monthly_usd="0")


def test_the_dollar_track_keeps_its_defaults() -> None:
    terms = dollar_terms(DollarSetting(monthly_usd=800.5))
    assert (terms.monthly_usd, terms.ceiling, terms.ticket_usd) == ("800.5", "1.15", "50")


@pytest.mark.parametrize("share", ["0.5", "1", "0"])
def test_a_front_may_say_its_own_part(share: str) -> None:
    found = {
        name: Roster(node=node, layout=node.settings.layout(), role=GatewayRole.FRONT)
        for name, node in inventory_of(f"all: {{hosts: {{a: {{budgets: {{share: {share}}}}}}}}}").nodes.items()
    }
    assert policy_of(found[NodeName("a")], found).budget_share == share


def test_every_example_of_the_guide_is_a_good_inventory() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "money.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", guide, flags=re.DOTALL)
    assert examples
    for example in examples:
        assert inventory_of(example).nodes
