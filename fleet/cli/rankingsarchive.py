"""`fleet rankings fetch` and `import`: a week into the archive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import click

from fleet.cli.context import narrate, overrides_of, print_json, project_of
from fleet.cli.doors import json_option
from fleet.cli.lines import names_text
from fleet.control.inventory import load_inventory
from fleet.errors import FleetError, UsageError
from fleet.practice.rankings.archive import Archived, archive
from fleet.practice.rankings.ranking import Ranking
from fleet.practice.rankings.store import FOLDER, Kept
from fleet.practice.rankings.week import NotAWeek, Week
from fleet.vocabulary.clock import SystemClock

_LONGEST_BYTES = 16 * 1024 * 1024
_KINDS = {".json": "json", ".csv": "csv", ".tsv": "csv", ".md": "markdown", ".markdown": "markdown"}


class WeekName(click.ParamType[Week]):
    """`2026-W21` on a command line."""

    name = "week"

    def convert(self, value: str | Week, param: click.Parameter | None, ctx: click.Context | None) -> Week:
        """The week of a text, else a usage error."""
        try:
            return value if isinstance(value, Week) else Week.named(value)
        except NotAWeek as problem:
            self.fail(str(problem), param, ctx)


@click.command("fetch")
@click.option("--upstream", metavar="NAME", help="Whose key is shown; else the first upstream that is OpenRouter.")
@json_option
@click.pass_context
def fetch_(ctx: click.Context, upstream: str | None, as_json: bool) -> None:
    """Archive the last two weeks that are over, and today's list of models beside the newer one.

    Two requests to OpenRouter. A week that is archived is never rewritten.
    """
    from fleet.control.actions.rankings import fetch_rankings

    project = project_of(ctx)
    inventory = load_inventory(project, overrides=overrides_of(ctx))
    monday = fetch_rankings(project, inventory, clock=SystemClock(), upstream=upstream)
    found = monday.fetched
    for odd in found.odd:
        narrate(f"left out: {odd}")
    if found.models is None:
        narrate(f"no list of models: {found.why}")
    elif monday.models is Kept.NEW:
        narrate(f"today's list of {len(found.models.models)} models is archived beside {monday.newest}")
    for week, differences in monday.refused.items():
        narrate(f"{week}: OpenRouter tells it otherwise by now; the archived file stays")
        narrate("\n".join(f"  {line}" for line in differences[:3]))
    _tell(monday.archived, found.rankings, as_json=as_json, refused=tuple(monday.refused))


@click.command("import")
@click.argument("file", metavar="FILE|-")
@click.option(
    "--week",
    type=WeekName(),
    metavar="WEEK",
    help="Which week it is of, like 2026-W21, where it does not say so itself.",
)
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
    named by its line, and nothing is archived then: a week is written once, when it is over.
    """
    from fleet.practice.rankings.reading import read_text

    text = _text(file)
    kind = kind or _kind(file, text)
    file = "stdin" if file == "-" else file
    today = SystemClock().now().date()
    read = read_text(text, kind=kind, week=week, as_of=_day(as_of, today), today=today.isoformat())
    for odd in read.odd:
        narrate(f"{file}: {odd}")
    if read.says is not None:
        raise UsageError(
            f"{file}: it says that it is of {read.says}, and --week says {week}",
            hint="leave --week out; or mend what the file says: a week is written once",
        )
    if not read.rankings:
        hint = "--week 2026-W21 says which week it is of" if week is None and "week" in read.none else ""
        raise UsageError(f"{file}: {read.none}", hint=hint)
    if read.odd and not with_gaps:
        raise FleetError(
            f"{file}: {len(read.odd)} {'cell was' if len(read.odd) == 1 else 'cells were'} not understood",
            detail="nothing was archived: a week is written once",
            hint="mend them, or archive what was understood: --with-gaps",
        )
    for ranking in read.rankings:
        _require_over(Week.named(ranking.week), today)
    project = project_of(ctx)
    done = [archive(project.root / FOLDER, ranking) for ranking in read.rankings]
    _tell(done, read.rankings, as_json=as_json)


def _tell(done: Sequence[Archived], read: tuple[Ranking, ...], *, as_json: bool, refused: tuple[str, ...] = ()) -> None:
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


def _text(file: str) -> str:
    """Raises UsageError."""
    try:
        with click.open_file(file, "rb") as stream:
            content: bytes = stream.read(_LONGEST_BYTES + 1)
    except OSError as problem:
        raise UsageError(f"{file}: {(problem.strerror or str(problem)).lower()}") from None
    if len(content) > _LONGEST_BYTES:
        raise UsageError(f"{file}: larger than 16 MiB", hint="is this the right file?")
    return content.decode(errors="replace")


def _kind(file: str, text: str) -> str:
    by_name = _KINDS.get(Path(file).suffix.lower())
    if by_name is not None:
        return by_name
    return "json" if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[") else "markdown" if "|" in text else "csv"


def _require_over(week: Week, today: date) -> None:
    """What is archived is the whole week, as a dataset's is. Raises UsageError."""
    if today <= week.sunday:
        raise UsageError(
            f"{week} is not over before {week.sunday + timedelta(days=1)}, and today is {today}",
            hint="a week is archived once, so all of it must be there",
        )


def _day(text: str | None, today: date) -> str:
    """What is said, "" when nothing is. Raises UsageError."""
    if text is None:
        return ""
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        raise UsageError(f"--as-of {text}: no day", hint="like 2026-05-25") from None
    if day > today:
        raise UsageError(f"--as-of {text} is in the future")
    return text
