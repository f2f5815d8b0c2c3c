"""The policy of a front: from the inventory's budgets, labels and teams to its part of gateway.json. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import msgspec

from fleet.control.desired.apiupstreams import plain
from fleet.control.desired.roster import Roster
from fleet.control.inventory.budgeting import CapSetting, DollarSetting, OwnCostSetting, TeamSetting
from fleet.control.inventory.serving import RouteSetting
from fleet.traffic.keyring import KeyLimits
from fleet.traffic.policy import ALERTS, DollarTerms, GrayTerms, OwnCost, Policy, Repo, Scanning, Team, TrackTerms
from fleet.vocabulary.names import GatewayRole, NodeName, Track
from fleet.vocabulary.units import parse_seconds

LEDGER = "gateway/ledger.sqlite"
"""Below var/ of a front, in the folder of its gateway's state."""
_SHARE_DIGITS = 10**11


def policy_of(own: Roster, rosters: Mapping[NodeName, Roster]) -> Policy:
    """What the front of `own` counts, caps and keeps at home."""
    settings = own.node.settings
    budgets, labels = settings.budgets, settings.labels
    capped = {Track.TOKEN: budgets.token, Track.GRAY: budgets.gray}
    return Policy(
        ledger_file=own.layout.var(LEDGER),
        budget_tz=budgets.timezone,
        budget_share=plain(budgets.share) if budgets.share is not None else equal_part(_fronts(rosters)),
        dollar=None if budgets.dollar is None else dollar_terms(budgets.dollar),
        tracks={track.value: track_terms(cap) for track, cap in capped.items() if cap is not None},
        fleet=track_terms(budgets.fleet) if budgets.fleet is not None else TrackTerms(),
        teams=tuple(team_of(name, team) for name, team in settings.teams.items()),
        untagged=labels.untagged,
        repos=tuple(Repo(pattern=pattern, sensitivity=label) for pattern, label in labels.repos.items()),
        scanning=Scanning(scan=labels.scan, raise_to=labels.raise_to, taint_days=labels.taint_days),
        alerts=ALERTS if budgets.alerts is None else tuple(plain(part) for part in budgets.alerts),
        own_costs=_own_costs(rosters),
        keep_months=budgets.keep_months,
    )


def dollar_terms(setting: DollarSetting) -> DollarTerms:
    """The dollar track's terms, amounts as decimal text."""
    return DollarTerms(
        monthly_usd=plain(setting.monthly_usd),
        ceiling=plain(setting.ceiling),
        overrun=plain(setting.overrun),
        ticket_pattern=setting.ticket_pattern,
        ticket_usd=None if setting.ticket_usd is None else plain(setting.ticket_usd),
        default_max_tokens=setting.default_max_tokens,
        without_ticket=setting.without_ticket,
        over_budget=setting.over_budget,
    )


def track_terms(cap: CapSetting) -> TrackTerms:
    """A cap per month."""
    return TrackTerms(
        monthly_usd=None if cap.monthly_usd is None else plain(cap.monthly_usd), monthly_tokens=cap.monthly_tokens
    )


def gray_terms(route: RouteSetting) -> GrayTerms:
    """The terms of a gray route."""
    given = {
        "share": None if route.share is None else plain(route.share),
        "token_share": None if route.token_share is None else plain(route.token_share),
        "burst": route.burst,
        "unlabelled": route.unlabelled,
        "least_calls": route.least_calls,
        "suspend_seconds": None if route.suspend is None else parse_seconds(route.suspend),
    }
    return msgspec.convert({name: value for name, value in given.items() if value is not None}, GrayTerms)


def equal_part(fronts: int) -> str:
    """One of so many equal parts, rounded down: together they are never more than the whole."""
    part = Fraction(1, max(fronts, 1))
    return plain(1) if part == 1 else f"0.{part * _SHARE_DIGITS // 1:011d}".rstrip("0")


def _fronts(rosters: Mapping[NodeName, Roster]) -> int:
    return sum(roster.role is GatewayRole.FRONT for roster in rosters.values())


def team_of(name: str, team: TeamSetting) -> Team:
    """A team and its limits."""
    return Team(
        name=name,
        cost_centre=team.cost_centre,
        limits=KeyLimits(
            requests_per_minute=team.requests_per_minute,
            tokens_per_minute=team.tokens_per_minute,
            concurrency=team.concurrency,
            monthly_usd=None if team.monthly_usd is None else plain(team.monthly_usd),
            monthly_tokens=team.monthly_tokens,
        ),
    )


def own_cost_of(setting: OwnCostSetting) -> OwnCost | None:
    """What a node costs; None = it does not say."""
    if not (setting.usd_per_month or setting.watts or setting.idle_watts):
        return None
    return OwnCost(
        usd_per_month=plain(setting.usd_per_month),
        watts=float(setting.watts),
        idle_watts=float(setting.idle_watts),
        usd_per_kwh=plain(setting.usd_per_kwh),
    )


def _own_costs(rosters: Mapping[NodeName, Roster]) -> dict[str, OwnCost]:
    costs = {name: own_cost_of(roster.node.settings.own_cost) for name, roster in rosters.items()}
    return {name: cost for name, cost in costs.items() if cost is not None}
