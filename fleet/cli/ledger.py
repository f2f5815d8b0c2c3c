"""`fleet ledger`: what was asked and what it cost, by whatever the rows have a name for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from fleet.cli.context import print_json
from fleet.cli.doors import doors, json_option, playbook_option, show, tell_problems
from fleet.cli.ledgerteams import teams
from fleet.control.actions.gateways import exit_code
from fleet.control.actions.ledger import LedgerSums, as_builtins, as_csv, instant, ledger_of
from fleet.errors import UsageError
from fleet.vocabulary.contracts.ledger_admin import LedgerBy, LedgerLine, LedgerQuery
from fleet.vocabulary.money import shown

if TYPE_CHECKING:
    from rich.table import Table


@click.group(invoke_without_command=True)
@click.option(
    "--by",
    "names",
    default="model",
    show_default=True,
    metavar="NAME[,NAME...]",
    help=f"Up to four of {', '.join(LedgerBy)}.",
)
@click.option("--since", metavar="TIME", help="A day 2026-11-22, a month 2026-11, a week 2026-W47, or 7d.")
@click.option("--until", metavar="TIME", help="The same; what began then is no longer in it.")
@click.option("--csv", "as_table", is_flag=True, help="CSV on stdout, amounts exact.")
@json_option
@playbook_option
@click.pass_context
def ledger(
    ctx: click.Context, names: str, since: str | None, until: str | None, as_table: bool, as_json: bool, playbook: str
) -> None:
    """Add up requests, tokens and money over all fronts.

    No prompt and no answer is in a ledger. Days and months are those of budgets.timezone, weeks ISO weeks in UTC.
    Exit code: 3 some fronts did not answer, so the sums are too small; 4 none did.
    """
    if ctx.invoked_subcommand is not None:
        return
    if as_json and as_table:
        raise UsageError("--json and --csv at once", hint="choose one")
    by = _by(names)
    with doors(ctx, playbook) as found:
        fronts = [gateway for gateway in found.all if gateway.is_front]
        zone = fronts[0].node.settings.budgets.timezone if fronts else "UTC"
        query = LedgerQuery(
            by=by,
            since_milliseconds=None if since is None else instant(since, budget_tz=zone),
            until_milliseconds=None if until is None else instant(until, budget_tz=zone),
        )
        sums, errors = ledger_of(found.all, found.open, query)
    tell_problems(errors)
    if sums is not None:
        _show(sums, as_table=as_table, as_json=as_json)
    ctx.exit(exit_code(len(fronts), errors))


ledger.add_command(teams)


def _by(names: str) -> tuple[LedgerBy, ...]:
    known = {one.value: one for one in LedgerBy}
    asked = [name.strip() for name in names.split(",")]
    unknown = next((name for name in asked if name not in known), None)
    if unknown is not None:
        raise UsageError(f"{unknown!r} is nothing that rows are added up by", hint=f"one of {', '.join(known)}")
    if len(asked) > 4 or len(set(asked)) < len(asked):
        raise UsageError("--by takes up to four different names", hint="for example --by team,model")
    return tuple(known[name] for name in asked)


def _show(sums: LedgerSums, *, as_table: bool, as_json: bool) -> None:
    if as_json:
        print_json(as_builtins(sums))
    elif as_table:
        click.echo(as_csv(sums), nl=False)
    elif not sums.lines:
        click.echo("nothing in that time")
    else:
        from rich.console import Console

        show(ledger_table(sums), Console())


def ledger_table(sums: LedgerSums) -> Table:
    """The lines and their sum, as wide as they are."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim", footer_style="bold")
    table.show_footer = len(sums.lines) > 1
    total = sums.total
    for at, one in enumerate(sums.by):
        table.add_column(one.value, footer="all" if at == 0 else "", overflow="fold")
    for head, cell in _CELLS:
        table.add_column(head, footer=cell(total), justify="right", no_wrap=True)
    for line in sums.lines:
        table.add_row(*(name or "-" for name in line.names), *(cell(line) for _, cell in _CELLS))
    return table


_CELLS: tuple[tuple[str, Callable[[LedgerLine], str]], ...] = (
    ("requests", lambda line: f"{line.requests:,}"),
    ("failed", lambda line: f"{line.failed:,}" if line.failed else ""),
    ("tokens in", lambda line: f"{line.prompt_tokens:,}"),
    ("out", lambda line: f"{line.completion_tokens:,}"),
    ("USD", lambda line: shown(line.spent_pico)),
    ("held", lambda line: shown(line.reserved_pico) if line.reserved_pico else ""),
)
