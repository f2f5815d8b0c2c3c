"""Where reports lie: `reports/2026-W47/` with report.json, report.md and report.html, and whatever a person adds.

Every file is written whole beside its place and renamed into it, report.json last: a report that is there is whole.
A report that says nothing new leaves its files alone, so that version control shows what changed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from fleet.practice.weekly.html.page import as_html
from fleet.practice.weekly.markdown import as_markdown
from fleet.practice.weekly.report import SCHEMA, Weekly
from fleet.practice.weekly.weeks import NotAWeek, parse_week
from fleet.traffic.budget.calendar import Week

JSON = "report.json"
_OTHERS: Mapping[str, Callable[[Weekly], str]] = {"report.html": as_html, "report.md": as_markdown}


def folder_of(reports: Path, week: str) -> Path:
    """The folder of a week."""
    return reports / week


def as_json(report: Weekly) -> str:
    """The report for machines, and the source of the other two: indented, in its own order."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def read_report(folder: Path) -> Weekly | None:
    """The report of a folder; None when there is none, it is damaged, or it is of another schema."""
    try:
        found = msgspec.json.decode((folder / JSON).read_bytes(), type=Weekly)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.schema == SCHEMA else None


def is_whole(folder: Path) -> bool:
    """Whether all three files are there, of one report: they tell when it was made."""
    report = read_report(folder)
    return report is not None and all(_tells(folder / name, report.made_at) for name in _OTHERS)


def write_report(reports: Path, report: Weekly) -> tuple[Path, bool]:
    """Write it, and whether anything is new but the time. Raises OSError."""
    folder = folder_of(reports, report.week)
    there = read_report(folder)
    if there is not None and msgspec.structs.replace(there, made_at=report.made_at) == report and is_whole(folder):
        return folder, False
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in _OTHERS.items():
        _put(folder / name, write(report))
    _put(folder / JSON, as_json(report))
    return folder, True


def missing_weeks(reports: Path, *, newest: Week, oldest_milliseconds: int | None, most: int) -> tuple[Week, ...]:
    """The weeks without a whole report of the whole week, the oldest first: at most the last `most`, none from before
    the ledger. What a Mac that was off has missed.
    """
    weeks = (Week(newest.number - back) for back in reversed(range(most)))
    return tuple(
        week
        for week in weeks
        if oldest_milliseconds is not None and oldest_milliseconds < week.ends and not _done(reports, week)
    )


def weeks_there(reports: Path) -> tuple[str, ...]:
    """The weeks that have a folder, the newest first."""
    try:
        names = [path.name for path in reports.iterdir() if path.is_dir()]
    except OSError:
        return ()
    return tuple(sorted((name for name in names if _is_week(name)), reverse=True))


def _done(reports: Path, week: Week) -> bool:
    folder = folder_of(reports, str(week))
    report = read_report(folder)
    return report is not None and report.whole and is_whole(folder)


def _is_week(name: str) -> bool:
    try:
        parse_week(name)
    except NotAWeek:
        return False
    return True


def _tells(path: Path, words: str) -> bool:
    try:
        return words in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _put(path: Path, text: str) -> None:
    """The whole file or nothing of it, also when the power fails."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
