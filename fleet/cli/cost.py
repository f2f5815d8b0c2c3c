"""`fleet cost`: what the same work would cost elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from fleet.cli.context import print_json
from fleet.cli.doors import doors, json_option, playbook_option, show, tell_problems
from fleet.cli.usagequestion import span_of
from fleet.control.actions.gateways import exit_code
from fleet.control.actions.graypool import fronts_among
from fleet.control.actions.usage import FleetFronts
from fleet.control.actions.whatif import elsewhere_of, mix_of_case, mix_of_file, replay_of
from fleet.errors import UsageError
from fleet.practice.usage import ask_usage
from fleet.practice.whatif.outcome import WhatIf, as_builtins
from fleet.practice.whatif.replay import BY
from fleet.vocabulary.contracts.usage import UsageQuery

_UNKNOWN = 3


@click.group()
def cost() -> None:
    """Reckon what the same work would cost elsewhere."""


@cost.command()
@click.option(
    "--move",
    "moves",
    metavar="FROM=TO[:PART]",
    multiple=True,
    help="A model's work, or route:NAME's, goes to another model (or the first of a route); PART of it, 0 to 1.",
)
@click.option(
    "--price",
    "prices",
    metavar="MODEL=IN,OUT[,CACHED]",
    multiple=True,
    help="USD per million tokens, instead of the inventory's or of what was billed.",
)
@click.option("--since", metavar="TIME", help="Of the ledger: a day 2026-11-22, a month 2026-11, a week, or 7d.")
@click.option("--until", metavar="TIME", help="The same; what began then is no longer in it.")
@click.option("--mix", metavar="FILE", type=click.Path(path_type=Path), help="A stated mix instead of the ledger.")
@click.option("--case", metavar="NAME", help="A stated mix that comes with fleet: six-people.")
@json_option
@playbook_option
@click.pass_context
def whatif(
    ctx: click.Context,
    moves: tuple[str, ...],
    prices: tuple[str, ...],
    since: str | None,
    until: str | None,
    mix: Path | None,
    case: str | None,
    as_json: bool,
    playbook: str,
) -> None:
    """Replay the ledger of all fronts, or a stated mix, against other routes and prices.

    What is not moved stays as billed; what is moved is reckoned by the price of where it goes, and every assumption is
    listed. A price that nobody states is named, and the sum is then unknown. Exit code: 3 a price is not known, or
    some fronts did not answer; 4 none did.
    """
    if mix is not None or case is not None:
        if moves or prices or since or until or (mix and case):
            raise UsageError("a stated mix has its own routes and prices", hint="leave out everything but --json")
        found = mix_of_file(mix) if mix is not None else mix_of_case(case or "")
        _show(found, as_json=as_json)
        ctx.exit(_UNKNOWN if found.unknown else 0)
    if not moves and not prices:
        raise UsageError(
            "nothing is to be different", hint="--move FROM=TO, --price MODEL=IN,OUT, --mix FILE or --case"
        )
    with doors(ctx, playbook) as opened:
        zone = fronts_among(opened.all)[0].node.settings.budgets.timezone
        begin, end = span_of(since, until, budget_tz=zone)
        fronts = FleetFronts(opened.all, opened.open)
        usage = ask_usage(fronts, UsageQuery(by=BY, since_milliseconds=begin, until_milliseconds=end))
        tell_problems(fronts.errors)
        code = exit_code(fronts.count, fronts.errors)
        if usage.fronts:
            elsewhere = elsewhere_of(opened.inventory, usage, moves=moves, prices=prices)
            found = replay_of(usage, elsewhere, title=_title(since, until))
            _show(found, as_json=as_json)
            code = code or (_UNKNOWN if found.unknown else 0)
    ctx.exit(code)


def _title(since: str | None, until: str | None) -> str:
    parts = [f"since {since}" if since else "", f"until {until}" if until else ""]
    return f"the ledger of all fronts, {' '.join(filter(None, parts)) or 'all that is kept'}"


def _show(found: WhatIf, *, as_json: bool) -> None:
    if as_json:
        print_json(as_builtins(found))
        return
    from rich.console import Console

    from fleet.cli.costview import whatif_screen

    show(whatif_screen(found), Console())
