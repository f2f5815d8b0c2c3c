"""`fleet ledger teams`: the monthly bill by team and cost centre."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from fleet.cli.context import narrate, print_json
from fleet.cli.doors import doors, json_option, playbook_option, show, tell_problems
from fleet.cli.lines import names_text
from fleet.control.actions.gateways import exit_code
from fleet.control.actions.graypool import fronts_among
from fleet.control.actions.teamcosts import TeamCosts, team_costs
from fleet.control.actions.usage import FleetFronts
from fleet.errors import FleetError, UsageError
from fleet.practice.chargeback import Charge, as_csv, as_record
from fleet.vocabulary.money import shown
from fleet.vocabulary.units import seconds_text


@click.command()
@click.option("--month", required=True, metavar="YYYY-MM", help="A month of budgets.timezone.")
@click.option("--csv", "file", metavar="FILE", help="Every key on every node, amounts exact; - is stdout.")
@json_option
@playbook_option
@click.pass_context
def teams(ctx: click.Context, month: str, file: str | None, as_json: bool, playbook: str) -> None:
    """Tell what a month cost, by team: APIs as billed, own Macs by what the inventory says of them.

    own_cost of a node (rent or depreciation, and power) is shared by those who kept it busy, in the proportion of
    their requests' times; what nobody used is told as (unused). Exit code: 3 some fronts did not answer, so the sums
    are too small; 4 none did.
    """
    if file == "-" and as_json:
        raise UsageError("--json and --csv - at once", hint="choose one")
    with doors(ctx, playbook) as found:
        zone = fronts_among(found.all)[0].node.settings.budgets.timezone
        fronts = FleetFronts(found.all, found.open)
        costs = team_costs(fronts, found.inventory, month, budget_tz=zone)
    tell_problems(fronts.errors)
    if costs.usage.fronts:
        _notes(costs)
        _tell(costs, file=file, as_json=as_json)
    ctx.exit(exit_code(fronts.count, fronts.errors))


def _notes(costs: TeamCosts) -> None:
    if not costs.over:
        narrate(f"{costs.month} is not over: own Macs are charged for the whole month, by what they did so far")
    if costs.unstated:
        narrate(f"no own_cost in the inventory, so no share of it: {names_text(costs.unstated)}")


def _tell(costs: TeamCosts, *, file: str | None, as_json: bool) -> None:
    text = as_csv(costs.rows, month=costs.month)
    if file == "-":
        click.echo(text, nl=False)
        return
    if file is not None:
        try:
            Path(file).write_text(text)
        except OSError as error:
            raise FleetError(f"{file} cannot be written", detail=(error.strerror or str(error)).lower()) from error
        narrate(f"wrote {file}: {len(costs.rows)} rows")
    if as_json:
        print_json([as_record(row, month=costs.month) for row in costs.rows])
    elif file is None:
        _table(costs.rows)


def _table(rows: Iterable[Charge]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim", footer_style="bold")
    table.show_footer = True
    teams: dict[tuple[str, str], list[Charge]] = {}
    for row in rows:
        teams.setdefault((row.cost_centre, row.team), []).append(row)
    every = [row for some in teams.values() for row in some]
    table.add_column("cost centre", footer="all", overflow="fold")
    table.add_column("team", overflow="fold")
    for head, footer in zip(("requests", "busy", "API USD", "own USD", "together"), _cells(every), strict=True):
        table.add_column(head, footer=footer, justify="right", no_wrap=True)
    for (centre, team), some in teams.items():
        table.add_row(centre or "-", team or "-", *_cells(some))
    if every:
        show(table, Console())
    else:
        click.echo("nothing in that month")


def _cells(rows: Iterable[Charge]) -> tuple[str, ...]:
    some = list(rows)
    api = sum(row.api_pico for row in some)
    imputed = [row.own_pico for row in some if row.own_pico is not None]
    own = sum(imputed) if len(imputed) == len(some) else None  # a part of a sum is no sum
    return (
        f"{sum(row.requests for row in some):,}",
        seconds_text(sum(row.busy_seconds for row in some)),
        shown(api),
        "-" if own is None else shown(own),
        "-" if own is None else shown(api + own),
    )
