"""`fleet ledger teams`: a month by team and cost centre, of what all fronts tell and the inventory states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from fleet.control.actions.ledger import instant
from fleet.control.desired.policyfile import own_cost_of, team_of
from fleet.control.inventory import Inventory
from fleet.errors import UsageError
from fleet.practice.chargeback import Charge, Use, charges
from fleet.practice.sources import Fronts
from fleet.practice.usage import Usage, ask_usage
from fleet.vocabulary.contracts.usage import UsageBy, UsageLine, UsageQuery

_BY = (UsageBy.TEAM, UsageBy.PERSON, UsageBy.KEY, UsageBy.NODE)


@dataclass(frozen=True, kw_only=True)
class TeamCosts:
    """The rows of a month. `usage` is what they were made of. `over`: the month is, so they stay as they are.

    `unstated`: nodes that worked and for which the inventory has no `own_cost`.
    """

    month: str
    rows: tuple[Charge, ...]
    usage: Usage
    over: bool
    unstated: tuple[str, ...]


def team_costs(
    fronts: Fronts, inventory: Inventory, month: str, *, budget_tz: str, now: datetime | None = None
) -> TeamCosts:
    """What a month (`2026-11`, of `budget_tz`) cost. Raises UsageError for what is no month."""
    after = month_after(month)
    begins, ends = instant(month, budget_tz=budget_tz), instant(after, budget_tz=budget_tz)
    query = UsageQuery(by=_BY, since_milliseconds=begins, until_milliseconds=ends)
    usage = ask_usage(fronts, query)
    costs = {name: own_cost_of(node.settings.own_cost) for name, node in inventory.nodes.items()}
    stated = {str(name): cost for name, cost in costs.items() if cost is not None}
    teams = {
        name: team_of(name, team) for node in inventory.nodes.values() for name, team in node.settings.teams.items()
    }
    rows = charges(_uses(usage.lines), costs=stated, teams=tuple(teams.values()), month_seconds=(ends - begins) / 1000)
    worked = dict.fromkeys(row.node for row in rows if row.node and row.own_pico is None)
    return TeamCosts(
        month=month,
        rows=rows,
        usage=usage,
        over=(now or datetime.now(UTC)).timestamp() * 1000 >= ends,
        unstated=tuple(sorted(worked)),
    )


def month_after(month: str) -> str:
    """`2026-12` -> `2027-01`. Raises UsageError."""
    try:
        if len(month) != len("2026-11"):
            raise ValueError
        first = date.fromisoformat(f"{month}-01")
        if first >= date(date.max.year, 12, 1):
            raise ValueError
        return f"{first.year + first.month // 12:04d}-{first.month % 12 + 1:02d}"
    except ValueError:
        raise UsageError(f"{month!r} is no month", hint="for example --month 2026-11") from None


def _uses(lines: Iterable[UsageLine]) -> Iterable[Use]:
    for line in lines:
        team, person, key, node = line.names
        yield Use(
            team=team,
            person=person,
            key=key,
            node=node,
            requests=line.requests,
            prompt_tokens=line.prompt_tokens,
            completion_tokens=line.completion_tokens,
            busy_seconds=line.busy_seconds if node else 0.0,
            api_pico=line.spent_pico,
        )
