"""`fleet usage`: who uses what, how much of it, and how well it goes: from counts and times, never from prompts."""

from __future__ import annotations

from collections.abc import Mapping

import click

from fleet.cli.context import print_json
from fleet.cli.doors import doors, json_option, plain_option, playbook_option, show, tell_problems
from fleet.cli.usagequestion import OVERVIEW, Show, by_of, span_of
from fleet.control.actions.gateways import GatewayNode, exit_code
from fleet.control.actions.usage import FleetFronts
from fleet.errors import UsageError
from fleet.practice.sources import Fronts
from fleet.practice.usage import Usage, ask_usage
from fleet.practice.usagetable import as_builtins, as_csv
from fleet.vocabulary.contracts.usage import Measure, UsageBy, UsageQuery


@click.command()
@click.option("--by", "names", metavar="NAME[,NAME...]", help=f"Up to four of {', '.join(UsageBy)}.")
@click.option("--since", metavar="TIME", help="A day 2026-11-22, a month 2026-11, a week 2026-W47, or 7d.")
@click.option("--until", metavar="TIME", help="The same; what began then is no longer in it.")
@click.option(
    "--show",
    "shown",
    type=click.Choice([one.value for one in Show]),
    default=Show.TOKENS.value,
    show_default=True,
    help="Which columns of the table; JSON and CSV have all.",
)
@click.option("--csv", "as_table", is_flag=True, help="CSV on stdout, amounts exact; wants --by.")
@json_option
@plain_option
@playbook_option
@click.pass_context
def usage(
    ctx: click.Context,
    names: str | None,
    since: str | None,
    until: str | None,
    shown: str,
    as_table: bool,
    as_json: bool,
    plain: bool,
    playbook: str,
) -> None:
    """Show requests, tokens, money, tool calls, lengths and conversations, over all fronts.

    Without --by an overview: by track, model, team, app, tier and reasoning, and models by week. No prompt is in a
    ledger, so none is looked at. Days and months are those of budgets.timezone, hours and ISO weeks of UTC. Exit code:
    3 some fronts did not answer, so the sums are too small; 4 none did.
    """
    if sum((as_table, as_json, plain)) > 1:
        raise UsageError("more than one of --csv, --json and --plain", hint="choose one")
    if as_table and names is None:
        raise UsageError("--csv is one table", hint="say --by as well, for example --by model")
    by = None if names is None else by_of(names)
    everything = tuple(Measure)
    measures = everything if as_table or as_json else Show(shown).measures
    with doors(ctx, playbook) as found:
        fronts = FleetFronts(found.all, found.open)
        begin, end = span_of(since, until, budget_tz=_zone(found.all))

        def query(by: tuple[UsageBy, ...], measures: tuple[Measure, ...]) -> UsageQuery:
            return UsageQuery(by=by, since_milliseconds=begin, until_milliseconds=end, measures=measures)

        queries = [query(by, measures)] if by is not None else [query((), everything)]
        if by is None:
            queries += [query(section, measures) for section in OVERVIEW]
        answers = [_asked(fronts, one) for one in queries]
    tell_problems(fronts.errors)
    if any(answer.fronts for answer in answers):
        _print(answers, overview=by is None, shown=Show(shown), as_table=as_table, as_json=as_json, plain=plain)
    ctx.exit(exit_code(fronts.count, fronts.errors))


def _asked(fronts: Fronts, query: UsageQuery) -> Usage:
    return ask_usage(fronts, query)


def _zone(gateways: tuple[GatewayNode, ...]) -> str:
    return next((gateway.node.settings.budgets.timezone for gateway in gateways if gateway.is_front), "UTC")


def _print(answers: list[Usage], *, overview: bool, shown: Show, as_table: bool, as_json: bool, plain: bool) -> None:
    if as_json:
        print_json(_sections(answers) if overview else as_builtins(answers[0]))
    elif as_table:
        click.echo(as_csv(answers[0]), nl=False)
    else:
        from rich.console import Console

        from fleet.cli.usageview import overview_screen, plain_lines, usage_table

        if plain:
            click.echo("\n".join(line for answer in answers for line in plain_lines(answer)))
        elif not any(answer.lines for answer in answers):
            click.echo("nothing in that time")
        else:
            console = Console()
            show(overview_screen(answers, shown) if overview else usage_table(answers[0], shown), console)


def _sections(answers: list[Usage]) -> Mapping[str, object]:
    return {",".join(answer.query.by) or "all": as_builtins(answer) for answer in answers}
