"""`fleet rankings`: what models the world uses, week by week, and what that says about our routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from fleet.cli.context import overrides_of, print_json, project_of
from fleet.cli.doors import json_option, playbook_option, show, unicode_of
from fleet.cli.lines import names_text
from fleet.cli.rankingsarchive import WeekName, fetch_, import_
from fleet.control.inventory import Inventory, load_inventory
from fleet.control.inventory.project import Project
from fleet.errors import UsageError
from fleet.practice.rankings.archive import joined_week
from fleet.practice.rankings.store import FOLDER, weeks_in
from fleet.practice.rankings.week import Week
from fleet.vocabulary.clock import SystemClock

if TYPE_CHECKING:
    from fleet.practice.rankings.diff import RankingDiff
    from fleet.vocabulary.contracts.policy_admin import GrayReports

_WEEK = click.argument("week", required=False, type=WeekName(), metavar="[WEEK]")


@click.group()
def rankings() -> None:
    """Archive OpenRouter's weekly ranking, compare weeks, and get routing tickets.

    One file per ISO week in rankings/, written once; tickets in tickets/. Commit both.
    """


rankings.add_command(fetch_)
rankings.add_command(import_)


@rankings.command("show")
@_WEEK
@click.option("--all", "every", is_flag=True, help="All ranks, not the first ten and our own.")
@json_option
@click.pass_context
def show_(ctx: click.Context, week: Week | None, every: bool, as_json: bool) -> None:
    """Show an archived week, the newest when none is named, with our own models marked."""
    project = project_of(ctx)
    folder, week = project.root / FOLDER, _chosen(project, week)
    if as_json:
        joined = joined_week(folder, week)
        print_json(None if joined is None else msgspec.to_builtins(joined.ranking))
        return
    from rich.console import Console

    from fleet.cli.rankingsview import ranking_screen

    console = Console()
    show(
        ranking_screen(_compared(project, _inventory(ctx, project), week), unicode=unicode_of(console), every=every),
        console,
    )


@rankings.command("diff")
@_WEEK
@click.option("--dry-run", is_flag=True, help="Look only: open and update no ticket.")
@click.option("--fronts", is_flag=True, help="Ask the fronts as well which gray models their providers have no more.")
@json_option
@playbook_option
@click.pass_context
def diff_(ctx: click.Context, week: Week | None, dry_run: bool, fronts: bool, as_json: bool, playbook: str) -> None:
    """Compare a week with the one before, and open routing tickets; the newest week when none is named.

    A ticket: a move above 30 % in either week's top ten or of our routes' models, who entered or left the top ten, a
    model that vanished, expires or has another price. No route is changed: `fleet route apply` does that.

    Exit code: 0 compared; 3 with --fronts, when one of them did not answer.
    """
    from fleet.control.actions.rankings import file_findings, gone_gray

    project = project_of(ctx)
    inventory = _inventory(ctx, project)
    found = _compared(project, inventory, _chosen(project, week))
    reports, silent = _gray_reports(ctx, playbook) if fronts else ((), False)
    gone = gone_gray(inventory, reports)
    filed = file_findings(project, inventory, (*found.findings, *gone), keep=not dry_run)
    if as_json:
        from fleet.cli.rankingsview import diff_document

        print_json(diff_document(found, filed))
    else:
        from rich.console import Console

        from fleet.cli.rankingsview import diff_screen

        console = Console()
        show(diff_screen(found, filed, unicode=unicode_of(console), dry_run=dry_run), console)
    ctx.exit(3 if silent else 0)


def _gray_reports(ctx: click.Context, playbook: str) -> tuple[tuple[GrayReports, ...], bool]:
    """What the fronts say of their gray routes, and whether one did not answer: that is told on stderr."""
    from fleet.cli.doors import doors, tell_problems
    from fleet.control.actions.graypool import gray_reports

    with doors(ctx, playbook) as found:
        reports, errors = gray_reports(found.all, found.open)
    tell_problems(errors)
    return reports, bool(errors)


def _chosen(project: Project, week: Week | None) -> Week:
    weeks = weeks_in(project.root / FOLDER)
    if week is None and not weeks:
        raise UsageError("no week is archived", hint="fleet rankings fetch, or fleet rankings import FILE --week WEEK")
    if week is not None and week not in weeks:
        there = names_text([str(one) for one in reversed(weeks)]) or "none"
        raise UsageError(f"{week} is not archived", hint=f"archived: {there}")
    return week or weeks[-1]


def _inventory(ctx: click.Context, project: Project) -> Inventory:
    return load_inventory(project, overrides=overrides_of(ctx))


def _compared(project: Project, inventory: Inventory, week: Week) -> RankingDiff:
    from fleet.control.actions.rankings import compared

    return compared(project, inventory, week, today=SystemClock().now().date())
