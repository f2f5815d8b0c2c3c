"""Rows of any source -> rankings, and what was odd in them by its line. Total. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from fleet.practice.rankings.amounts import NotAnAmount, percent_in, tokens_in
from fleet.practice.rankings.ranking import Ranked, Ranking
from fleet.practice.rankings.saidweek import said_week
from fleet.practice.rankings.table import Row, csv_rows, markdown_tables
from fleet.practice.rankings.week import NotAWeek, Week

OTHER = "other"
TABLE = "table"
DATASET = "openrouter rankings-daily"
_NO_TABLE = "no table with a column `model` and one of `rank`, `tokens`"


@dataclass(frozen=True, kw_only=True)
class Odd:
    """Something that was not understood. `where`: `line 7` or `data[3]`."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(frozen=True, kw_only=True)
class Read:
    """What a text says of weeks. `none`: why it says nothing of one. `says`: another week than the one asked for."""

    rankings: tuple[Ranking, ...] = ()
    odd: tuple[Odd, ...] = ()
    none: str = ""
    says: Week | None = None


@dataclass(kw_only=True)
class _Notes:
    odd: list[Odd] = field(default_factory=list)

    def note(self, where: str, why: str) -> None:
        self.odd.append(Odd(where=where, why=why))


def attribution(as_of: str) -> str:
    """How OpenRouter wants its rankings cited (CC BY 4.0)."""
    return f"Source: OpenRouter (openrouter.ai/rankings), as of {as_of}"


def read_text(text: str, *, kind: str, week: Week | None, as_of: str = "", today: str = "") -> Read:
    """`kind` is `json`, `csv` or `markdown`. A dataset says its weeks itself. A list or table is of `week`; where that
    is None, of what JSON says or the heading above the table.

    Where nobody says when it was said (`as_of`), a table tells what was at the end of its week, a dataset what is
    `today`.
    """
    if kind == "json":
        return _read_json(text, week=week, as_of=as_of, today=today)
    if kind == "markdown":
        return _read_markdown(text, week=week, as_of=as_of)
    rows = csv_rows(text)
    return Read(none=_NO_TABLE) if rows is None else _of_rows(_by_line(rows), week=week, said=None, as_of=as_of)


def _read_markdown(text: str, *, week: Week | None, as_of: str) -> Read:
    """A page may tell several weeks, each under a heading of its own: the first table of a week counts."""
    tables = markdown_tables(text)
    if not tables:
        return Read(none=_NO_TABLE)
    by_week: dict[Week | None, list[Row]] = {}
    for above, rows in tables:
        by_week.setdefault(said_week(above), rows)
    if week is not None:
        said = next((one for one in (week, None) if one in by_week), next(iter(by_week)))
        return _of_rows(_by_line(by_week[said]), week=week, said=said, as_of=as_of)
    found = [
        _of_rows(_by_line(rows), week=said, said=said, as_of=as_of)
        for said, rows in by_week.items()
        if said is not None or len(by_week) == 1
    ]
    return Read(
        rankings=tuple(one for read in found for one in read.rankings),
        odd=tuple(odd for read in found for odd in read.odd),
        none=next((read.none for read in found if read.none), ""),
    )


def _by_line(rows: Iterable[Row]) -> Iterator[tuple[str, Row]]:
    return ((f"line {row.line}", row) for row in rows)


def read_dataset(answer: Any, *, as_of: str) -> Read:
    """The JSON of `datasets/rankings-daily?period=week`: one ranking for every week of it that was over at `as_of`."""
    data = answer.get("data") if isinstance(answer, dict) else None
    meta = answer.get("meta") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        return Read(none="no `data` with rows")
    said = meta.get("as_of") if isinstance(meta, dict) else None
    when = said if isinstance(said, str) and said else as_of
    notes, weeks = _Notes(), dict[Week, dict[str, int]]()
    for at, row in enumerate(data):
        found = _dataset_row(f"data[{at}]", row, notes)
        if found is None:
            continue
        week, slug, tokens = found
        counted = weeks.setdefault(week, {})
        counted[slug] = counted.get(slug, 0) + tokens
    rankings = []
    for week in sorted(weeks):
        if when[:10] <= week.sunday.isoformat():
            notes.note(str(week), f"as of {when}, the week was not over: left out")
        else:
            rankings.append(_of_counts(week, weeks[week], as_of=when))
    return Read(rankings=tuple(rankings), odd=tuple(notes.odd), none="" if rankings else "no week that is over")


def _dataset_row(where: str, row: Any, notes: _Notes) -> tuple[Week, str, int] | None:
    cells = row if isinstance(row, dict) else {}
    slug, day, tokens = cells.get("model_permaslug"), cells.get("date"), cells.get("total_tokens")
    if not isinstance(slug, str) or not slug or not isinstance(day, str):
        notes.note(where, "no model or no date")
        return None
    try:
        monday = date.fromisoformat(day[:10])
    except ValueError:
        notes.note(where, f"{day!r} is no date")
        return None
    text = str(tokens) if isinstance(tokens, str | int) and not isinstance(tokens, bool) else ""
    if not text.isascii() or not text.isdecimal() or len(text) > 24:
        notes.note(where, f"{tokens!r} is no count of tokens")
        return None
    return Week.of(monday), slug, int(text)


def _of_counts(week: Week, counted: dict[str, int], *, as_of: str) -> Ranking:
    ordered = sorted((slug for slug in counted if slug != OTHER), key=lambda slug: (-counted[slug], slug))
    return Ranking(
        week=str(week),
        as_of=as_of,
        source=DATASET,
        attribution=attribution(as_of),
        models=tuple(Ranked(rank=at, slug=slug, tokens=counted[slug]) for at, slug in enumerate(ordered, 1)),
        total_tokens=sum(counted.values()) if OTHER in counted else None,
    )


def _read_json(text: str, *, week: Week | None, as_of: str, today: str) -> Read:
    try:
        value: Any = msgspec.json.decode(text.lstrip("\ufeff"))
    except (msgspec.DecodeError, RecursionError, ValueError) as problem:
        return Read(none=f"no JSON: {problem}")
    if isinstance(value, dict) and isinstance(value.get("data"), list) and any(_dated(row) for row in value["data"]):
        found = read_dataset(value, as_of=as_of or today)
        wanted = tuple(one for one in found.rankings if week is None or one.week == str(week))
        none = found.none or ("" if wanted else f"nothing of {week} in it")
        return Read(rankings=wanted, odd=found.odd, none=none)
    rows = value if isinstance(value, list) else next((one for one in _lists(value)), None)
    if rows is None:
        return Read(none="no list of models")
    return _of_rows(_json_rows(rows), week=week, said=_said_week(value), as_of=as_of or _said_as_of(value))


def _json_rows(rows: Iterable[Any]) -> Iterator[tuple[str, Row]]:
    names = {
        "rank": ("rank",),
        "model": ("model", "name", "model_permaslug", "slug", "id"),
        "vendor": ("vendor", "author"),
        "tokens": ("tokens", "weekly_tokens", "total_tokens"),
        "wow": ("wow", "printed", "change"),
    }
    for at, row in enumerate(rows):
        cells = row if isinstance(row, dict) else {}
        said = {
            name: next((cells[key] for key in keys if cells.get(key) is not None), "") for name, keys in names.items()
        }
        yield f"[{at}]", Row(line=at, cells={name: str(value).strip() for name, value in said.items()})


def _of_rows(rows: Iterable[tuple[str, Row]], *, week: Week | None, said: Week | None, as_of: str) -> Read:
    contrary = said if week is not None and said != week else None
    week = week or said
    if week is None:
        return Read(none="it does not say its week")
    as_of = as_of or week.sunday.isoformat()
    notes, seen, ranks = _Notes(), set[str](), set[int]()
    models: list[Ranked] = []
    total = None
    for where, row in rows:
        name = row.cells.get("model", "")
        tokens = _amount(where, row.cells.get("tokens", ""), notes)
        if not name:
            notes.note(where, "no model: left out")
        elif not name.isprintable():
            notes.note(where, f"{name!r} is no name of a model: left out")
        elif name.lower() in (OTHER, "others", "total"):
            total = tokens if name.lower() == "total" else total
        elif name.lower() in seen:
            notes.note(where, f"{name} is there twice: the first counts")
        else:
            seen.add(name.lower())
            rank = _rank(where, row.cells.get("rank"), len(models) + 1, notes)
            if rank in ranks:
                notes.note(where, f"rank {rank} is there twice")
            ranks.add(rank)
            printed = _change(where, row.cells.get("wow", ""), notes)
            vendor = row.cells.get("vendor", "")
            models.append(Ranked(rank=rank, slug=name, name=name, vendor=vendor, tokens=tokens, printed=printed))
    ranking = Ranking(
        week=str(week),
        as_of=as_of,
        source=TABLE,
        attribution=attribution(as_of),
        models=tuple(sorted(models, key=lambda one: one.rank)),
        total_tokens=total,
    )
    none = "" if models else "no model in it"
    return Read(rankings=(ranking,) if models else (), odd=tuple(notes.odd), none=none, says=contrary)


def _amount(where: str, text: str, notes: _Notes) -> int | None:
    try:
        return tokens_in(text)
    except NotAnAmount as problem:
        notes.note(where, str(problem))
        return None


def _change(where: str, text: str, notes: _Notes) -> Decimal | None:
    try:
        return percent_in(text)
    except NotAnAmount as problem:
        notes.note(where, str(problem))
        return None


def _rank(where: str, text: str | None, place: int, notes: _Notes) -> int:
    """What is written; the place in the table where nothing or no rank is."""
    plain = (text or "").strip().strip("#.").strip()
    if plain.isascii() and plain.isdecimal() and 0 < len(plain) < 6 and int(plain) > 0:
        return int(plain)
    if plain:
        notes.note(where, f"{plain!r} is no rank: its place counts")
    return place


def _dated(row: Any) -> bool:
    return isinstance(row, dict) and "date" in row and "model_permaslug" in row


def _lists(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, dict):
        yield from (value[key] for key in ("models", "data", "rows", "rankings") if isinstance(value.get(key), list))


def _said_week(value: Any) -> Week | None:
    said = value.get("week") if isinstance(value, dict) else None
    try:
        return Week.named(said) if isinstance(said, str) else None
    except NotAWeek:
        return None


def _said_as_of(value: Any) -> str:
    said = value.get("as_of") if isinstance(value, dict) else None
    return said if isinstance(said, str) else ""
