"""`fleet weekly` as it is typed, over fronts with ledgers: the report, its files, and what is asked again."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from ledgered_fleet import Ledgered

from fleet.practice.weekly.weeks import last_whole_week
from tests.practice.weekly.ground import FLASH, OPUS, rows

WEEK = last_whole_week(int(time.time() * 1000))
ROWS = [*rows(WEEK.previous, {FLASH: 20, OPUS: 4}), *rows(WEEK, {FLASH: 30, OPUS: 5})]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ledgered:
    return Ledgered(tmp_path, monkeypatch, capsys)


async def test_it_writes_the_last_whole_week_and_finds_every_figure_again(project: Ledgered, tmp_path: Path) -> None:
    async with project.fronts(ROWS, rows(WEEK, {FLASH: 7}, seed=9)) as fleet:
        made = await asyncio.to_thread(fleet.run, "weekly")
        again = await asyncio.to_thread(fleet.run, "weekly")
        checked = await asyncio.to_thread(fleet.run, "weekly", "--check")
        (tmp_path / "reports" / str(WEEK) / "report.json").write_text(
            (tmp_path / "reports" / str(WEEK) / "report.json").read_text().replace('"value": 42', '"value": 43')
        )
        wrong = await asyncio.to_thread(fleet.run, "weekly", "--check")

    assert made.code == 3, made.err  # the doors of this test know no budget
    assert made.out.startswith(f"{WEEK}  ")
    assert made.out.endswith("report.html\n")
    assert again.out.endswith("(nothing new)\n")
    assert "questions asked again, 0 with another answer" in checked.out
    assert (wrong.code, "usage.all.requests: 43 was printed, 42 is answered now" in wrong.out) == (1, True)


async def test_json_is_the_report_and_nothing_is_written(project: Ledgered, tmp_path: Path) -> None:
    async with project.fronts(ROWS) as fleet:
        said = await asyncio.to_thread(fleet.run, "weekly", "--week", str(WEEK.previous), "--json")
    report = json.loads(said.out)
    assert (report["week"], report["fronts"]) == (str(WEEK.previous), ["front-1"])
    assert not (tmp_path / "reports").exists()


async def test_a_front_that_is_away_is_named_in_the_report(project: Ledgered, tmp_path: Path) -> None:
    async with project.fronts(ROWS, away=("front-9",)) as fleet:
        said = await asyncio.to_thread(fleet.run, "weekly", "--out", str(tmp_path / "elsewhere"))
    assert said.code == 3
    assert "front-9" in said.err
    report = json.loads((tmp_path / "elsewhere" / str(WEEK) / "report.json").read_text())
    assert report["away"] == ["front-9"]


async def test_where_nobody_answers_there_is_no_report(project: Ledgered, tmp_path: Path) -> None:
    async with project.fronts(away=("front-8", "front-9")) as fleet:
        said = await asyncio.to_thread(fleet.run, "weekly")
    assert (said.code, said.out) == (4, "")
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--week", "2026-47"), "is no ISO week: write it as 2026-W47"),
        (("--week", "2999-W01"), "has not begun"),
        (("--json", "--check"), "--json and --check at once"),
        (("--check",), "no report"),
    ],
)
async def test_what_cannot_be_is_said_in_words(project: Ledgered, words: tuple[str, ...], why: str) -> None:
    async with project.fronts(ROWS) as fleet:
        said = await asyncio.to_thread(fleet.run, "weekly", *words)
    assert said.code == 2
    assert why in said.err
