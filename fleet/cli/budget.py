"""`fleet budget`: what was spent this month, what is held, what may be, and where the month will end."""

from __future__ import annotations

import click
import msgspec

from fleet.cli.budgetview import budget_lines, budget_screen
from fleet.cli.context import print_json
from fleet.cli.doors import doors, json_option, plain_option, playbook_option, show, tell_problems, unicode_of
from fleet.control.actions.budget import Budget, budget_of
from fleet.control.actions.gateways import exit_code
from fleet.control.actions.graypool import fronts_among
from fleet.errors import UsageError


@click.command()
@click.option("--all", "every", is_flag=True, help="Every key, team and ticket, also those without a cap.")
@json_option
@plain_option
@playbook_option
@click.pass_context
def budget(ctx: click.Context, every: bool, as_json: bool, plain: bool, playbook: str) -> None:
    """Show the month: by fleet, track and team, and every key and ticket with a cap.

    Sums are over all fronts; each admits its budget_share of a cap. Exit code: 3 some fronts did not answer, so the
    sums are too small; 4 none did.
    """
    if as_json and plain:
        raise UsageError("--json and --plain at once", hint="choose one")
    with doors(ctx, playbook) as found:
        now, errors = budget_of(found.all, found.open)
        asked = len(fronts_among(found.all))
    tell_problems(errors)
    if now is not None:
        _show(now, every=every, as_json=as_json, plain=plain)
    ctx.exit(exit_code(asked, errors))


def _show(now: Budget, *, every: bool, as_json: bool, plain: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(now))
    elif plain:
        click.echo("\n".join(budget_lines(now, every=every)))
    else:
        from rich.console import Console

        console = Console()
        show(budget_screen(now, unicode=unicode_of(console), every=every), console)
