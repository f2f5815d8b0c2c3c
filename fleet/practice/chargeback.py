"""What a month cost, by team and cost centre: APIs as billed, own machines by stated inputs. Pure.

An own machine costs `usd_per_month` and its idle power whether it works or not, and more power while it works. Who
kept it busy for how long shares its cost in that proportion; a machine that nobody used is a row of its own. Nothing is
rounded away: the rows of a node add up to its cost, to the pico-dollar.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from fleet.traffic.policy import OwnCost, Team
from fleet.vocabulary.money import PICO_PER_USD, pico_up, usd
from fleet.vocabulary.spreadsheet import harmless

UNUSED = "(unused)"
_COLUMNS = (
    *("month", "cost_centre", "team", "person", "key", "node", "requests", "prompt_tokens", "completion_tokens"),
    *("busy_seconds", "api_usd", "own_usd_imputed"),
)
_HOUR_SECONDS = 3600
_WATTS_PER_KW = 1000


@dataclass(frozen=True, kw_only=True)
class Use:
    """What one key used of one place in a month. `node` "" = an API. `busy_seconds`: the sum of its requests' times."""

    team: str
    person: str
    key: str
    node: str = ""
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    busy_seconds: float = 0.0
    api_pico: int = 0


@dataclass(frozen=True, kw_only=True)
class Charge:
    """One row of the report. `own_pico` is imputed, `api_pico` was billed. None: nobody stated what the node costs."""

    cost_centre: str
    team: str
    person: str
    key: str
    node: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    busy_seconds: float
    api_pico: int
    own_pico: int | None


def node_cost_pico(cost: OwnCost, *, month_seconds: float, busy_seconds: float) -> int:
    """What a node cost in a month of so many seconds, of which it worked `busy_seconds`. Raises NotMoney.

    Requests at once add up to more than the time that passed: the machine is busy at most all of it.
    """
    busy = min(max(busy_seconds, 0.0), month_seconds)
    idle_watts = min(cost.idle_watts, cost.watts)
    watt_seconds = Decimal(idle_watts) * Decimal(month_seconds) + Decimal(cost.watts - idle_watts) * Decimal(busy)
    power = watt_seconds / (_HOUR_SECONDS * _WATTS_PER_KW) * Decimal(cost.usd_per_kwh)
    return pico_up(cost.usd_per_month) + int((power * PICO_PER_USD).to_integral_value())


def charges(
    uses: Iterable[Use], *, costs: Mapping[str, OwnCost], teams: Sequence[Team], month_seconds: float
) -> tuple[Charge, ...]:
    """The rows of a month, by cost centre, team, person, key, node. Raises NotMoney.

    Uses of the same key on the same place are added. A node of `costs` that nobody used has the row `(unused)`.
    """
    centres = {team.name: team.cost_centre for team in teams}
    summed = _summed(uses)
    own: dict[int, int | None] = {}
    unused: list[Charge] = []
    nodes = dict.fromkeys([*(use.node for use in summed if use.node), *costs])
    for node in nodes:
        cost = costs.get(node)
        theirs = [number for number, use in enumerate(summed) if use.node == node]
        busy = [max(summed[number].busy_seconds, 0.0) for number in theirs]
        if cost is None:
            own |= dict.fromkeys(theirs)
            continue
        whole = node_cost_pico(cost, month_seconds=month_seconds, busy_seconds=sum(busy))
        if not any(busy):
            unused.append(_nobody(node, whole))
            own |= dict.fromkeys(theirs, 0)
            continue
        own |= zip(theirs, shared(whole, busy), strict=True)
    rows = [_charge(use, centres.get(use.team, ""), own.get(number, 0)) for number, use in enumerate(summed)]
    return tuple(
        sorted(
            [*rows, *unused],
            key=lambda row: (row.team == UNUSED, row.cost_centre, row.team, row.person, row.key, row.node),
        )
    )


def shared(whole: int, weights: Sequence[float]) -> list[int]:
    """`whole` in whole parts in the proportion of `weights` (not all 0): largest remainders first, nothing lost."""
    exact = [Decimal(weight) for weight in weights]
    total = sum(exact)
    parts = [Decimal(whole) * weight / total for weight in exact]
    floors = [int(part) for part in parts]
    order = sorted(range(len(parts)), key=lambda number: (floors[number] - parts[number], number))
    left = whole - sum(floors)
    for step in range(abs(left)):
        floors[order[step % len(order)]] += 1 if left > 0 else -1
    return floors


def as_record(row: Charge, *, month: str) -> dict[str, object]:
    """A row for machines: amounts in USD with all their digits; None = nobody stated what the node costs."""
    words = (month, row.cost_centre, row.team, row.person, row.key, row.node)
    counts = (row.requests, row.prompt_tokens, row.completion_tokens, f"{row.busy_seconds:.3f}")
    imputed = None if row.own_pico is None else f"{usd(row.own_pico):f}"
    return dict(zip(_COLUMNS, (*words, *counts, f"{usd(row.api_pico):f}", imputed), strict=True))


def as_csv(rows: Iterable[Charge], *, month: str) -> str:
    """The report as a spreadsheet reads it: one header line, what is unknown is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow([harmless(value) for value in as_record(row, month=month).values()])
    return out.getvalue()


def _summed(uses: Iterable[Use]) -> list[Use]:
    found: dict[tuple[str, str, str, str], Use] = {}
    for use in uses:
        name = (use.team, use.person, use.key, use.node)
        before = found.get(name)
        found[name] = use if before is None else _added(before, use)
    return [found[name] for name in sorted(found)]


def _added(one: Use, other: Use) -> Use:
    return Use(
        team=one.team,
        person=one.person,
        key=one.key,
        node=one.node,
        requests=one.requests + other.requests,
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        busy_seconds=one.busy_seconds + other.busy_seconds,
        api_pico=one.api_pico + other.api_pico,
    )


def _charge(use: Use, centre: str, own_pico: int | None) -> Charge:
    return Charge(
        cost_centre=centre,
        team=use.team,
        person=use.person,
        key=use.key,
        node=use.node,
        requests=use.requests,
        prompt_tokens=use.prompt_tokens,
        completion_tokens=use.completion_tokens,
        busy_seconds=use.busy_seconds,
        api_pico=use.api_pico,
        own_pico=own_pico,
    )


def _nobody(node: str, pico: int) -> Charge:
    nothing = Use(team=UNUSED, person="", key="", node=node)
    return _charge(nothing, "", pico)
