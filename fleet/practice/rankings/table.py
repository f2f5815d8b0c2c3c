"""Tables that people have: Markdown and CSV -> rows of cells, each row with its line. Total. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NAMES = {
    "rank": ("rank", "#", "no", "no.", "place", "position", "pos"),
    "model": ("model", "model name", "name", "model_permaslug", "permaslug", "slug", "model slug", "id"),
    "vendor": ("vendor", "author", "provider", "company", "lab", "by", "maker"),
    "tokens": ("tokens", "weekly tokens", "total tokens", "total_tokens", "tokens/week", "volume", "usage"),
    "wow": ("wow", "change", "wow %", "w/w", "week over week", "week-over-week", "delta", "trend"),
}
_RULE = re.compile(r":?-+:?")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of a table: its cells by what they are (`rank`, `model`, `vendor`, `tokens`, `wow`)."""

    line: int
    cells: dict[str, str]


def markdown_tables(text: str) -> list[tuple[str, list[Row]]]:
    """The tables that have a column for models and one for ranks or tokens, each with what the page says above it.

    That is the text from the last heading above the table on.
    """
    lines, found = text.splitlines(), []
    for at, line in enumerate(lines[:-1]):
        rule = _cells(lines[at + 1])
        if "|" not in line or not rule or not all(_RULE.fullmatch(cell) for cell in rule):
            continue
        columns = _columns(_cells(line))
        if columns is not None:
            found.append((_above(lines[:at]), list(_markdown_body(lines, at + 2, columns))))
    return found


def _above(lines: Sequence[str]) -> str:
    start = max((at for at, line in enumerate(lines) if line.startswith("#")), default=0)
    return "\n".join(lines[start:])


def csv_rows(text: str) -> list[Row] | None:
    """The rows of a spreadsheet's export, with comma, semicolon or tab. None: its head names no model column."""
    first = text.lstrip("\ufeff\r\n").partition("\n")[0]
    mark = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=mark)
    found: list[Row] = []
    columns: dict[int, str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = _columns([cell.strip() for cell in cells])
                if columns is None:
                    return None
            else:
                found.append(_row(reader.line_num, cells, columns))
    except csv.Error:
        return None
    return found if columns is not None else None


def _markdown_body(lines: Sequence[str], start: int, columns: dict[int, str]) -> Iterator[Row]:
    for at in range(start, len(lines)):
        if "|" not in lines[at]:
            return
        yield _row(at + 1, _cells(lines[at]), columns)


def _cells(line: str) -> list[str]:
    bare = line.strip().removeprefix("|")
    bare = bare.removesuffix("|") if not bare.endswith("\\|") else bare
    return [_LINK.sub(r"\1", cell.replace("\\|", "|")).strip().strip("*`") for cell in re.split(r"(?<!\\)\|", bare)]


def _columns(head: Sequence[str]) -> dict[int, str] | None:
    found: dict[int, str] = {}
    for at, cell in enumerate(head):
        word = re.sub(r"\s*\(.*\)$", "", cell.strip().lower().strip("*`"))
        name = next((name for name, words in _NAMES.items() if word in words and name not in found.values()), None)
        if name is not None:
            found[at] = name
    told = set(found.values())
    return found if "model" in told and told & {"rank", "tokens"} else None


def _row(line: int, cells: Sequence[str], columns: dict[int, str]) -> Row:
    return Row(line=line, cells={name: cells[at].strip() if at < len(cells) else "" for at, name in columns.items()})
