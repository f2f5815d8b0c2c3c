"""`fleet weekly`: the report of a week, made and asked again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fleet.cli.context import narrate, project_of
from fleet.cli.doors import doors, playbook_option, tell_problems
from fleet.control.actions.gateways import exit_code
from fleet.control.actions.usage import FleetFronts
from fleet.errors import FleetError, UsageError

if TYPE_CHECKING:
    from fleet.practice.weekly.recheck import Recheck
    from fleet.practice.weekly.report import Weekly
    from fleet.traffic.budget.calendar import Week

_PARTIAL = 3
_SIGNS = {"good": "ok", "watch": "watch", "bad": "BAD", "unknown": "?"}


@click.command()
@click.option("--week", "named", metavar="WEEK", help="An ISO week, 2026-W47; the last one that is over when absent.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where reports lie: reports/ of the project when absent.",
)
@click.option("--json", "as_json", is_flag=True, help="The report on stdout as JSON; nothing is written.")
@click.option("--check", "again", is_flag=True, help="Ask the question behind every figure of a report again.")
@playbook_option
@click.pass_context
def weekly(ctx: click.Context, named: str | None, out: Path | None, as_json: bool, again: bool, playbook: str) -> None:
    """Make the report of a week: reports/2026-W47/ with report.html, report.md and report.json.

    Money and the dollar track, the gray pool, usage, tool calls, rankings and the harness, beside the week before; what
    could not be measured, and what to do next. Exit code: 1 a figure of --check differs; 3 some fronts did not answer,
    so the sums are too small; 4 none did.
    """
    if as_json and again:
        raise UsageError("--json and --check at once", hint="choose one")
    week = _week(named)
    root = project_of(ctx).root
    reports = out or root / "reports"
    with doors(ctx, playbook) as found:
        fronts = FleetFronts(found.all, found.open)
        code = _check(root, reports, week, fronts) if again else _make(root, reports, week, fronts, as_json=as_json)
    tell_problems(fronts.errors)
    ctx.exit(exit_code(fronts.count, fronts.errors) if code is None else code)


def _week(named: str | None) -> Week:
    from fleet.practice.weekly.weeks import NotAWeek, last_whole_week, parse_week

    now = int(datetime.now(UTC).timestamp() * 1000)
    if named is None:
        return last_whole_week(now)
    try:
        week = parse_week(named)
    except NotAWeek as error:
        raise UsageError(str(error)) from None
    if week.starts > now:
        raise UsageError(f"{named} has not begun", hint="name a week that is over, or the running one")
    return week


def _make(root: Path, reports: Path, week: Week, fronts: FleetFronts, *, as_json: bool) -> int | None:
    from fleet.practice.weekly.make import make
    from fleet.practice.weekly.store import as_json as written
    from fleet.practice.weekly.store import write_report
    from fleet.practice.weeklyfiles.project import WeeklyProject

    report = make(week, fronts, now=datetime.now(UTC), project=WeeklyProject(root, today=datetime.now(UTC).date()))
    if not report.fronts:
        return None  # nobody answered: there is no report
    code = _PARTIAL if fronts.errors else 0
    if as_json:
        click.echo(written(report), nl=False)
        return code
    try:
        folder, new = write_report(reports, report)
    except OSError as error:
        raise FleetError(f"the report cannot be written: {error}") from error
    click.echo("\n".join([*_lines(report), "", f"{folder / 'report.html'}{'' if new else ' (nothing new)'}"]))
    return code


def _lines(report: Weekly) -> list[str]:
    """The findings, and what to do next."""
    lines = [f"{report.week}  {report.days}{'' if report.whole else '  (not over yet)'}"]
    lines.extend(f"{_SIGNS[one.tone]:5}  {one.subject}: {one.word}. {one.why}" for one in report.verdicts)
    for number, action in enumerate(report.actions, 1):
        lines.extend([f"{number}. {action.what}", *(f"     {command}" for command in action.commands)])
    lines.extend(f"not measured: {one.what}: {one.why}" for one in report.unmeasured)
    return lines


def _check(root: Path, reports: Path, week: Week, fronts: FleetFronts) -> int | None:
    from fleet.practice.weekly.recheck import recheck
    from fleet.practice.weekly.store import folder_of, read_report
    from fleet.practice.weeklyfiles.project import WeeklyProject

    folder = folder_of(reports, str(week))
    report = read_report(folder)
    if report is None:
        raise UsageError(f"{folder}: no report", hint=f"fleet weekly --week {week} makes it")
    found = recheck(report, fronts, files=WeeklyProject(root, today=datetime.now(UTC).date()).files)
    return None if len(fronts.errors) == fronts.count else _told(found) or (_PARTIAL if fronts.errors else 0)


def _told(found: Recheck) -> int:
    click.echo(f"{found.asked} questions asked again, {len(found.differing)} with another answer")
    for one in found.differing:
        when = " (the week before)" if one.before else ""
        click.echo(f"  {one.figure.id}{when}: {one.printed} was printed, {one.found} is answered now")
    if found.differing:
        narrate("what a provider billed late, and what the running month is, changes; else look at the ledger")
    return 1 if found.differing else 0
