"""The folder of a report: whole or not there, and a person's own files stay."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from fleet.practice.weekly import store
from fleet.practice.weekly.make import make
from fleet.practice.weekly.report import Weekly
from fleet.practice.weekly.store import is_whole, missing_weeks, read_report, weeks_there, write_report
from fleet.practice.weekly.weeks import NotAWeek, last_whole_week, parse_week, told
from fleet.traffic.budget.calendar import Week
from tests.practice.weekly.ground import FLASH, NOW, WEEK, LedgerFront, rows, write


@pytest.fixture(scope="module", name="front")
def _front(tmp_path_factory: pytest.TempPathFactory) -> LedgerFront:
    some = [*rows(WEEK.previous, {FLASH: 20}), *rows(WEEK, {FLASH: 25})]
    return LedgerFront(ledger=write(tmp_path_factory.mktemp("weekly") / "ledger.sqlite", some))


@pytest.fixture(name="report")
def _report(front: LedgerFront) -> Weekly:
    return make(WEEK, front, now=NOW)


def test_a_report_is_three_files_of_one_moment(tmp_path: Path, report: Weekly) -> None:
    folder, new = write_report(tmp_path, report)
    assert new
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json", "report.md"]
    assert read_report(folder) == report
    assert is_whole(folder)


def test_a_second_run_that_finds_nothing_new_touches_nothing(
    tmp_path: Path, front: LedgerFront, report: Weekly
) -> None:
    folder, _ = write_report(tmp_path, report)
    (folder / "notes.md").write_text("what we decided")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    later = make(WEEK, front, now=NOW + timedelta(hours=5))
    assert write_report(tmp_path, later) == (folder, False)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_run_that_finds_something_new_keeps_what_a_person_wrote(tmp_path: Path, report: Weekly) -> None:
    folder, _ = write_report(tmp_path, report)
    (folder / "notes.md").write_text("what we decided")
    other = msgspec.structs.replace(report, fronts=("front-9",))
    assert write_report(tmp_path, other) == (folder, True)
    assert (folder / "notes.md").read_text() == "what we decided"
    assert read_report(folder) == other


@pytest.mark.parametrize("files", [0, 1, 2])
def test_a_crash_in_its_middle_leaves_no_half_file_and_the_next_run_mends_it(
    tmp_path: Path, report: Weekly, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    folder, _ = write_report(tmp_path, report)
    other = msgspec.structs.replace(report, made_at="2026-11-24T00:00:00Z", fronts=("front-9",))
    put, left = store._put, [files]

    def crashing(path: Path, text: str) -> None:
        if not left[0]:
            raise OSError("no space left")
        left[0] -= 1
        put(path, text)

    monkeypatch.setattr(store, "_put", crashing)
    with pytest.raises(OSError, match="no space"):
        write_report(tmp_path, other)
    monkeypatch.undo()
    assert read_report(folder) == report
    assert is_whole(folder) is (files == 0)
    assert write_report(tmp_path, other)[1]
    assert is_whole(folder)
    assert len(list(folder.iterdir())) == 3


def test_a_damaged_report_is_none_and_is_made_again(tmp_path: Path, report: Weekly) -> None:
    folder, _ = write_report(tmp_path, report)
    (folder / "report.json").write_text('{"week": ')
    assert read_report(folder) is None
    assert write_report(tmp_path, report)[1]


def test_weeks_that_were_missed_are_made_up_for_the_oldest_first(tmp_path: Path, front: LedgerFront) -> None:
    write_report(tmp_path, make(Week(WEEK.number - 2), front, now=NOW))
    oldest = Week(WEEK.number - 3).starts + 5
    found = missing_weeks(tmp_path, newest=WEEK, oldest_milliseconds=oldest, most=8)
    assert [str(week) for week in found] == ["2026-W44", "2026-W46", "2026-W47"]


def test_a_report_of_a_week_that_was_not_over_does_not_count(tmp_path: Path, front: LedgerFront) -> None:
    write_report(tmp_path, make(WEEK, front, now=NOW - timedelta(days=3)))
    assert missing_weeks(tmp_path, newest=WEEK, oldest_milliseconds=WEEK.starts, most=8) == (WEEK,)


def test_without_a_ledger_no_week_is_missing(tmp_path: Path) -> None:
    assert missing_weeks(tmp_path, newest=WEEK, oldest_milliseconds=None, most=8) == ()


def test_folders_of_weeks_are_listed_the_newest_first(tmp_path: Path) -> None:
    for name in ("2026-W47", "2026-W09", "drafts", "2026-W99"):
        (tmp_path / name).mkdir()
    assert weeks_there(tmp_path) == ("2026-W47", "2026-W09")


@pytest.mark.parametrize("text", ["2026-47", "2026-W54", "2026-W00", "W47", "2026-W4", "", "2025-W53", "0000-W01"])
def test_what_is_no_week_is_refused(text: str) -> None:
    with pytest.raises(NotAWeek):
        parse_week(text)


def test_a_week_over_the_end_of_a_year_is_one_week() -> None:
    assert str(parse_week("2026-W53")) == "2026-W53"
    assert told(parse_week("2026-W53")) == "28 December 2026 - 3 January 2027"
    assert told(parse_week("2026-W49")) == "30 November - 6 December 2026"


def test_the_last_whole_week_of_a_monday_morning_ended_that_night() -> None:
    assert last_whole_week(WEEK.ends) == WEEK
    assert last_whole_week(WEEK.ends - 1) == WEEK.previous
