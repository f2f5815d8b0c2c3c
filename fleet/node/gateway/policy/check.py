"""Whether the policy of a configuration can be used at all: looked at before it is in force. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.traffic.budget.calendar import BudgetCalendar, NotAZone
from fleet.traffic.budget.exact import NotExact, exact
from fleet.traffic.budget.ticket import NotAPattern, ticket_matcher
from fleet.traffic.config import GatewayConfig, Route
from fleet.traffic.gray.pool import Purse
from fleet.traffic.policy import DollarTerms, Policy
from fleet.vocabulary.money import NotMoney, pico
from fleet.vocabulary.names import Track

_FACTOR_MOST = 100


def problem_of_policy(config: GatewayConfig) -> str:
    """The first thing that cannot be; "" = none."""
    if config.policy is None:
        return ""
    return next((problem for problem in _problems(config, config.policy) if problem), "")


def _problems(config: GatewayConfig, policy: Policy) -> Iterator[str]:
    try:
        exact(policy.budget_share, most=1)
        BudgetCalendar.of(policy.budget_tz)
        for part in policy.alerts:
            exact(part, most=_FACTOR_MOST)
        for amount in _amounts(policy):
            if pico(amount) < 0:
                yield f"{amount} USD is less than nothing"
        if policy.dollar is not None:
            _try_dollar(policy.dollar)
        for route in config.routes:
            if route.gray_terms is not None:
                Purse.of(route.gray_terms)
    except (NotExact, NotAZone, NotMoney, NotAPattern) as error:
        yield str(error)
    routes = {route.name: route for route in config.routes}
    for route in config.routes:
        yield _problem_of_route(route, routes, policy)


def _amounts(policy: Policy) -> Iterator[str]:
    amounts = [policy.fleet.monthly_usd, *(terms.monthly_usd for terms in policy.tracks.values())]
    amounts += [team.limits.monthly_usd for team in policy.teams]
    yield from (amount for amount in amounts if amount is not None)
    if policy.dollar is not None:
        yield policy.dollar.monthly_usd
        if policy.dollar.ticket_usd is not None:
            yield policy.dollar.ticket_usd


def _try_dollar(dollar: DollarTerms) -> None:
    exact(dollar.ceiling, most=_FACTOR_MOST)
    exact(dollar.overrun, most=_FACTOR_MOST)
    ticket_matcher(dollar.ticket_pattern)


def _problem_of_route(route: Route, routes: dict[str, Route], policy: Policy) -> str:
    where = f"route {route.name!r}"
    if route.folds_to is not None and route.folds_to not in routes:
        return f"{where} folds to {route.folds_to!r}, which is no route"
    if route.track is Track.GRAY and route.folds_to is None:
        return f"{where} is gray and folds nowhere"
    if route.track is Track.DOLLAR and policy.dollar is None:
        return f"{where} is on the dollar track, which has no terms"
    if route.gray is not None:
        pool = routes.get(route.gray)
        if pool is None or pool.track is not Track.GRAY:
            return f"{where} feeds {route.gray!r}, which is no gray route"
    seen = [route.name]
    while (target := routes[seen[-1]].folds_to) is not None:
        if target in seen:
            return f"{where} folds in a circle"
        if target not in routes:
            return ""
        seen.append(target)
    return ""
