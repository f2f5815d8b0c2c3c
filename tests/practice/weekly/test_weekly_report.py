"""The report of a week over a real ledger: every figure is the answer to its question."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fleet.practice.sources import Told
from fleet.practice.weekly.figures import Figure, Read, UsageAsked
from fleet.practice.weekly.make import make
from fleet.practice.weekly.recheck import recheck
from fleet.practice.weekly.report import Weekly
from fleet.practice.weekly.store import as_json
from fleet.vocabulary.contracts.usage import UsageQuery, UsageReport
from fleet.vocabulary.money import pico
from tests.practice.weekly.ground import (
    FLASH,
    NOW,
    OPUS,
    WEEK,
    LedgerFront,
    budget_report,
    gray_report,
    rows,
    the_front,
    write,
)


@pytest.fixture(scope="module", name="front")
def _front(tmp_path_factory: pytest.TempPathFactory) -> LedgerFront:
    return the_front(tmp_path_factory.mktemp("weekly"))


@pytest.fixture(scope="module", name="report")
def _report(front: LedgerFront) -> Weekly:
    return make(WEEK, front, now=NOW)


def named(report: Weekly, key: str) -> Figure:
    return next(figure for figure in report.figures() if figure.id == key)


def test_every_figure_read_back_from_json_is_what_its_question_answers(front: LedgerFront, report: Weekly) -> None:
    again = msgspec.json.decode(as_json(report), type=Weekly)
    assert again == report
    found = recheck(again, front)
    assert found.differing == ()
    assert found.asked > 300
    assert found.unread == 0


def test_a_figure_that_somebody_changed_is_found(front: LedgerFront, report: Weekly) -> None:
    wrong = as_json(report).replace('"value": 531', '"value": 532', 1)
    found = recheck(msgspec.json.decode(wrong, type=Weekly), front)
    assert [(one.printed, one.found) for one in found.differing] == [(532, 531)]


def test_the_figures_are_the_sums_of_the_ledgers_rows(front: LedgerFront, report: Weekly) -> None:
    with sqlite3.connect(front.ledger) as database:
        bounds = (WEEK.starts, WEEK.ends)
        requests, tokens = database.execute(
            "SELECT count(*), sum(prompt_tokens + completion_tokens) FROM request WHERE at >= ? AND at < ?", bounds
        ).fetchone()
        (spent,) = database.execute(
            "SELECT sum(s.pico) FROM settlement AS s JOIN reservation AS r ON r.id = s.id WHERE r.at >= ? AND r.at < ?",
            bounds,
        ).fetchone()
    assert named(report, "usage.all.requests").value == requests
    assert named(report, "usage.all.tokens").value == tokens
    assert pico(str(named(report, "money.week.spent").value)) == spent


def test_the_days_of_a_week_add_up_to_it(report: Weekly) -> None:
    days = [figure for figure in report.figures() if figure.id.startswith("money.day.")]
    whole = named(report, "money.week.spent")
    assert sum(pico(str(day.value)) for day in days) == pico(str(whole.value))
    assert sum(pico(str(day.before)) for day in days) == pico(str(whole.before))


def test_what_escalations_cost_is_told_by_ticket(report: Weekly) -> None:
    assert named(report, "money.ticket.SEC-12.requests").value == 36
    assert named(report, "money.ticket.SEC-12.spent").value == named(report, "money.week.dollar").value


def test_ids_of_figures_are_different_and_the_same_every_week(front: LedgerFront, report: Weekly) -> None:
    ids = [figure.id for figure in report.figures()]
    assert len(set(ids)) == len(ids)
    assert not [one for one in ids if "2026" in one]


def test_two_fronts_are_added_up(front: LedgerFront, report: Weekly) -> None:
    both = make(WEEK, _Both(front, replace(front, node="front-2")), now=NOW)
    one, two = (named(some, "usage.all.requests").value for some in (report, both))
    assert isinstance(one, int)
    assert two == 2 * one
    assert both.fronts == ("front-1", "front-2")
    p95, p95_both = (named(some, "usage.all.p95_seconds").value for some in (report, both))
    assert p95 == p95_both


def test_a_front_that_is_away_is_named_with_what_to_do_and_is_not_among_the_fronts(front: LedgerFront) -> None:
    report = make(WEEK, replace(front, away={"front-2": "no route to host"}), now=NOW)
    assert report.fronts == ("front-1",)
    assert ("front front-2: every figure lacks its part", "no route to host") in [
        (one.what, one.why) for one in report.unmeasured
    ]
    assert report.actions[0].commands == ("fleet doctor --on front-2", "fleet weekly --week 2026-W47")


def test_where_no_front_answers_nothing_is_measured_and_nothing_is_zero() -> None:
    report = make(WEEK, _Nobody(), now=NOW)
    assert list(report.figures()) == []
    assert {"usage", "budget"} <= {one.what for one in report.unmeasured}


def test_a_week_before_the_ledger_is_unknown_and_not_zero(tmp_path: Path) -> None:
    front = LedgerFront(ledger=write(tmp_path / "ledger.sqlite", rows(WEEK, {FLASH: 40})))
    report = make(WEEK, front, now=NOW)
    requests = named(report, "usage.all.requests")
    assert (requests.value, requests.before) == (40, None)
    began = [one for one in report.unmeasured if one.why == "its ledger begins there"]
    assert [one.what.split(" before ")[0] for one in began] == ["front-1"]


def test_a_model_that_nobody_asked_the_week_before_had_no_requests_then(tmp_path: Path) -> None:
    some = [*rows(WEEK.previous, {FLASH: 30}), *rows(WEEK, {FLASH: 30, OPUS: 5})]
    report = make(WEEK, LedgerFront(ledger=write(tmp_path / "ledger.sqlite", some)), now=NOW)
    assert named(report, "usage.model.opus.requests").before == 0


def test_a_week_without_requests_has_a_report(front: LedgerFront) -> None:
    report = make(WEEK.previous.previous, front, now=NOW)
    assert report.week == "2026-W45"
    empty = make(type(WEEK)(WEEK.number + 1), front, now=NOW)
    assert not empty.whole
    assert next(section for section in empty.sections if section.id == "usage").lead == "Nobody asked anything."


def test_no_figure_of_usage_is_asked_without_bounds(report: Weekly) -> None:
    asked = [figure.asked for figure in report.figures() if isinstance(figure.asked, UsageAsked)]
    assert asked
    assert all(one.query.since_milliseconds and one.query.until_milliseconds for one in asked)
    assert Read.SPENT in {one.read for one in asked}


class _Nobody(LedgerFront):
    def __init__(self) -> None:
        super().__init__(ledger=Path("none"))

    def usage(self, query: UsageQuery) -> Told[UsageReport]:
        return Told(away={"front-1": "is away"})


class _Both:
    """Two fronts with the same rows."""

    def __init__(self, *fronts: LedgerFront) -> None:
        self._fronts = fronts

    def usage(self, query: UsageQuery) -> Told[UsageReport]:
        return Told(reports={one.node: one.usage(query).reports[one.node] for one in self._fronts})

    def budget(self) -> object:
        return Told(reports={"front-1": budget_report()})

    def gray(self) -> object:
        return Told(reports={"front-1": gray_report()})

    def incidents(self) -> Iterator[object]:
        raise AssertionError
