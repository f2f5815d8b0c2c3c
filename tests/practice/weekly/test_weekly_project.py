"""What the files of a project add to the report: rankings, tickets, the harness; and that they are read again."""

from pathlib import Path

import pytest

from fleet.practice.rankings.store import keep_week
from fleet.practice.weekly.html.page import as_html
from fleet.practice.weekly.make import make
from fleet.practice.weekly.markdown import as_markdown
from fleet.practice.weekly.recheck import recheck
from fleet.practice.weekly.report import Weekly
from fleet.practice.weeklyfiles.project import WeeklyProject
from fleet.traffic.budget.calendar import DAY_MILLISECONDS
from tests.practice.maytable import W21, ranking_of
from tests.practice.weekly.filed import MAY, MAY_NOW, a_run, rankings_and_tickets
from tests.practice.weekly.ground import FLASH, LedgerFront, rows, write


@pytest.fixture(name="front")
def _front(tmp_path: Path) -> LedgerFront:
    some = [*rows(MAY.previous, {FLASH: 12}), *rows(MAY, {FLASH: 15})]
    return LedgerFront(ledger=write(tmp_path / "var" / "ledger.sqlite", some))


def made(root: Path, front: LedgerFront) -> tuple[Weekly, WeeklyProject]:
    project = WeeklyProject(root, today=MAY_NOW.date())
    return make(MAY, front, now=MAY_NOW, project=project), project


def test_the_top_ten_is_beside_the_week_before_with_its_attribution(tmp_path: Path, front: LedgerFront) -> None:
    rankings_and_tickets(tmp_path)
    report, _ = made(tmp_path, front)
    figures = {figure.id: figure for figure in report.figures()}
    flash = figures["rankings.deepseek-v4-flash.tokens"]
    assert flash.value == 3_430_000_000_000
    assert isinstance(flash.before, int)
    assert flash.value / flash.before == pytest.approx(1.66, abs=0.02)
    kimi = figures["rankings.kimi-k2.6.rank"]
    assert (kimi.value, kimi.before) == (None, 6)
    assert "left the top ten" in as_markdown(report)
    assert "openrouter" in as_html(report).lower()


def test_a_ranking_without_the_week_before_compares_nothing(tmp_path: Path, front: LedgerFront) -> None:
    keep_week(tmp_path / "rankings", ranking_of(W21))
    report, _ = made(tmp_path, front)
    figures = [figure for figure in report.figures() if figure.id.startswith("rankings.")]
    assert len(figures) == 20
    assert {figure.asked_before for figure in figures} == {None}
    section = next(section for section in report.sections if section.id == "rankings")
    assert "The week before is not archived" in section.lead


def test_open_tickets_are_a_verdict_and_something_to_do(tmp_path: Path, front: LedgerFront) -> None:
    rankings_and_tickets(tmp_path)
    report, _ = made(tmp_path, front)
    verdict = next(one for one in report.verdicts if one.subject == "Rankings")
    assert verdict.word.endswith("tickets")
    commands = [command for action in report.actions for command in action.commands]
    assert "fleet route tickets" in commands


def test_the_harness_is_told_by_target_and_against_its_first(tmp_path: Path, front: LedgerFront) -> None:
    a_run(tmp_path, "before", started=MAY.previous.starts + 5, rates={"primary": 0.9, "cheap": 0.9})
    a_run(tmp_path, "monday", started=MAY.ends + DAY_MILLISECONDS // 4, rates={"primary": 0.95, "cheap": 0.3})
    report, _ = made(tmp_path, front)
    figures = {figure.id: figure for figure in report.figures()}
    assert isinstance(figures["harness.table.cheap.passed"].before, float)
    verdict = next(one for one in report.verdicts if one.subject == "Harness: cheap")
    assert verdict.word == "demote"
    assert "fleet harness compare monday:primary monday:cheap" in [
        command for action in report.actions for command in action.commands
    ]


def test_every_figure_of_a_file_is_read_again_and_found(tmp_path: Path, front: LedgerFront) -> None:
    rankings_and_tickets(tmp_path)
    a_run(tmp_path, "monday", started=MAY.starts + 5, rates={"primary": 0.95, "cheap": 0.9})
    report, _ = made(tmp_path, front)
    again = WeeklyProject(tmp_path, today=MAY_NOW.date())
    found = recheck(report, front, files=again.files)
    assert (found.differing, found.unread) == ((), 0)
    assert recheck(report, front).unread > 20


def test_without_files_they_are_not_measured_and_the_commands_are_named(tmp_path: Path, front: LedgerFront) -> None:
    report, _ = made(tmp_path, front)
    assert {"rankings", "harness"} <= {one.what for one in report.unmeasured}
    commands = [command for action in report.actions for command in action.commands]
    assert "fleet rankings fetch" in commands
    assert "fleet harness run" in commands


def test_a_run_of_another_week_does_not_stand_for_this_one(tmp_path: Path, front: LedgerFront) -> None:
    a_run(tmp_path, "old", started=MAY.previous.starts + 5, rates={"primary": 0.9})
    report, _ = made(tmp_path, front)
    assert "harness" in {one.what for one in report.unmeasured}


def test_a_damaged_file_is_not_measured_and_says_why(tmp_path: Path, front: LedgerFront) -> None:
    rankings_and_tickets(tmp_path)
    (tmp_path / "tickets" / "deepseek-v4-flash-rise.json").write_text("{")
    report, _ = made(tmp_path, front)
    assert next(one for one in report.unmeasured if one.what == "rankings").why
