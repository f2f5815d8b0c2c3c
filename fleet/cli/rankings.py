"""`fleet rankings`: what models the world uses, week by week, and what that says about our routes."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from fleet.cli.context import narrate, overrides_of, print_json, project_of
from fleet.cli.doors import json_option, show, unicode_of
from fleet.cli.lines import names_text
from fleet.control.inventory import Inventory, load_inventory
from fleet.control.inventory.project import Project
from fleet.errors import FleetError, UsageError
from fleet.practice.rankings.archive import Archived, archive, diff_of_week, joined_week
from fleet.practice.rankings.ranking import Ranking
from fleet.practice.rankings.store import FOLDER, Kept, WeekTaken, keep_models, weeks_in
from fleet.practice.rankings.week import NotAWeek, Week
from fleet.vocabulary.clock import SystemClock

if TYPE_CHECKING:
    from fleet.practice.rankings.diff import RankingDiff

_LONGEST_BYTES = 16 * 1024 * 1024
_KINDS = {".json": "json", ".csv": "csv", ".tsv": "csv", ".md": "markdown", ".markdown": "markdown"}


class _WeekName(click.ParamType[Week]):
    name = "week"

    def convert(self, value: str | Week, param: click.Parameter | None, ctx: click.Context | None) -> Week:
        try:
            return value if isinstance(value, Week) else Week.named(value)
        except NotAWeek as problem:
            self.fail(str(problem), param, ctx)


_WEEK = click.argument("week", required=False, type=_WeekName(), metavar="[WEEK]")


@click.group()
def rankings() -> None:
    """Archive OpenRouter's weekly ranking, compare weeks, and get routing tickets.

    One file per ISO week in rankings/, written once; tickets in tickets/. Commit both.
    """


@rankings.command("fetch")
@click.option("--upstream", metavar="NAME", help="Whose key is shown; else the first upstream that is OpenRouter.")
@json_option
@click.pass_context
def fetch_(ctx: click.Context, upstream: str | None, as_json: bool) -> None:
    """Archive the last two weeks that are over, and today's list of models beside the newer one.

    Two requests to OpenRouter. A week that is archived is never rewritten.
    """
    from fleet.control.actions.ourroutes import rankings_upstream
    from fleet.control.supply.secrets import SecretStore
    from fleet.practice.rankings.fetch import fetch
    from fleet.practice.rankings.web import HttpsApi

    project = project_of(ctx)
    name, setting = rankings_upstream(load_inventory(project, overrides=overrides_of(ctx)), upstream)
    if setting.key is None:
        raise UsageError(
            f"upstreams.{name} has no key", hint=f"key: file:secrets/{name}.key; any key may read rankings"
        )
    key = SecretStore(project)[setting.key]
    found = fetch(HttpsApi(setting.base_url(name) or ""), key=key, clock=SystemClock())
    for odd in found.odd:
        narrate(f"left out: {odd}")
    folder = project.root / FOLDER
    if found.models is not None:
        keep_models(folder, Week.named(found.rankings[-1].week), found.models)
    else:
        narrate(f"no list of models: {found.why}")
    done, refused = [], []
    for ranking in found.rankings:
        try:
            done.append(archive(folder, ranking, models=found.models))
        except WeekTaken as taken:
            refused.append(ranking.week)
            narrate(f"{ranking.week}: OpenRouter tells it otherwise by now; the archived file stays")
            narrate("\n".join(f"  {line}" for line in taken.differences[:3]))
    _tell(done, found.rankings, as_json=as_json, refused=tuple(refused))


@rankings.command("import")
@click.argument("file", metavar="FILE|-")
@click.option("--week", type=_WeekName(), metavar="WEEK", help="Which week a table is of, like 2026-W21.")
@click.option("--as-of", metavar="DAY", help="When its source said so; else the week's last day.")
@click.option("--format", "kind", type=click.Choice(["json", "csv", "markdown"]), help="Else by the file's name.")
@click.option("--with-gaps", is_flag=True, help="Archive it although cells were not understood: they stay unknown.")
@json_option
@click.pass_context
def import_(
    ctx: click.Context,
    file: str,
    week: Week | None,
    as_of: str | None,
    kind: str | None,
    with_gaps: bool,
    as_json: bool,
) -> None:
    """Archive a ranking out of FILE: JSON, CSV, or a table in Markdown, wherever in the text it is.

    Columns are found by their names: rank, model, vendor, tokens (3.43T, 806B), WoW (+66%). What is not understood is
    named by its line, and nothing is archived then: a week is written once.
    """
    from fleet.practice.rankings.reading import read_text

    text = _text(file)
    read = read_text(text, kind=kind or _kind(file, text), week=week, as_of=_day(as_of, week))
    for odd in read.odd:
        narrate(f"{file}: {odd}")
    if not read.rankings:
        week_hint = "--week 2026-W21 says which week it is of" if "week" in read.none else ""
        raise UsageError(f"{file}: {read.none}", hint=week_hint)
    if read.odd and not with_gaps:
        raise FleetError(
            f"{file}: {len(read.odd)} {'cell was' if len(read.odd) == 1 else 'cells were'} not understood",
            detail="nothing was archived: a week is written once",
            hint="mend them, or archive what was understood: --with-gaps",
        )
    project = project_of(ctx)
    done = [archive(project.root / FOLDER, ranking) for ranking in read.rankings]
    _tell(done, read.rankings, as_json=as_json)


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
        ranking_screen(_diff(project, _inventory(ctx, project), week), unicode=unicode_of(console), every=every),
        console,
    )


@rankings.command("diff")
@_WEEK
@click.option("--dry-run", is_flag=True, help="Look only: open and update no ticket.")
@json_option
@click.pass_context
def diff_(ctx: click.Context, week: Week | None, dry_run: bool, as_json: bool) -> None:
    """Compare a week with the one before, and open routing tickets; the newest week when none is named.

    A ticket: a move above 30 % in either week's top ten or of our routes' models, who entered or left the top ten, a
    model that vanished, expires or has another price. No route is changed: `fleet route apply` does that.
    """
    from fleet.control.actions.ourroutes import ours_of
    from fleet.control.actions.routefile import RouteFile
    from fleet.practice.tickets import store
    from fleet.practice.tickets.ticket import tickets_of

    project = project_of(ctx)
    inventory = _inventory(ctx, project)
    found = _diff(project, inventory, _chosen(project, week))
    tickets = tickets_of(found, ours=ours_of(inventory))
    folder, proposer = project.root / store.FOLDER, RouteFile(project=project)
    filed = store.file_tickets(folder, tickets, proposer=proposer, keep=not dry_run)
    if as_json:
        from fleet.cli.rankingsview import diff_document

        print_json(diff_document(found, filed))
        return
    from rich.console import Console

    from fleet.cli.rankingsview import diff_screen

    console = Console()
    show(diff_screen(found, filed, unicode=unicode_of(console), dry_run=dry_run), console)


def _tell(done: list[Archived], read: tuple[Ranking, ...], *, as_json: bool, refused: tuple[str, ...] = ()) -> None:
    by_week = {one.week: one for one in read}
    if as_json:
        documents = [
            {
                "week": str(one.week),
                "kept": one.kept.value,
                "as_of": by_week[str(one.week)].as_of,
                "unknown": one.unknown,
            }
            for one in done
        ]
        print_json({"weeks": documents, "refused": refused, "attribution": read[-1].attribution})
        return
    for one in done:
        path = f"{FOLDER}/{one.week}.json"
        count = len(by_week[str(one.week)].models)
        click.echo(
            f"{one.week}  {count} models, {'archived' if one.kept is Kept.NEW else 'as it was archived'}: {path}"
        )
    unknown = tuple(dict.fromkeys(name for one in done for name in one.unknown))
    if unknown:
        narrate(f"in no list of models, so their ids are unknown: {names_text(unknown)}")
    click.echo(read[-1].attribution)


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


def _diff(project: Project, inventory: Inventory, week: Week) -> RankingDiff:
    from fleet.control.actions.ourroutes import ours_of

    found = diff_of_week(project.root / FOLDER, week, ours=ours_of(inventory), today=SystemClock().now().date())
    if found is None:
        raise UsageError(f"{week} is not archived")
    return found


def _text(file: str) -> str:
    """Raises UsageError."""
    if file == "-":
        return sys.stdin.read(_LONGEST_BYTES)
    try:
        path = Path(file)
        if path.stat().st_size > _LONGEST_BYTES:
            raise UsageError(f"{file}: larger than 16 MiB", hint="is this the right file?")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as problem:
        raise UsageError(f"{file}: {(problem.strerror or str(problem)).lower()}") from None


def _kind(file: str, text: str) -> str:
    by_name = _KINDS.get(Path(file).suffix.lower())
    if by_name is not None:
        return by_name
    return "json" if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[") else "markdown" if "|" in text else "csv"


def _day(text: str | None, week: Week | None) -> str:
    """What is said, else the last day of the week: a table of a week tells what was at its end. Raises UsageError."""
    today = SystemClock().now().date()
    if text is None:
        return min(today, week.sunday if week is not None else today).isoformat()
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        raise UsageError(f"--as-of {text}: no day", hint="like 2026-05-25") from None
    if day > today:
        raise UsageError(f"--as-of {text} is in the future")
    return text
