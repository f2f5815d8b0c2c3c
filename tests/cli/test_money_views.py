"""The budget and the gray pool as a person reads them."""

from __future__ import annotations

from rich.console import Console

from fleet.cli.budgetview import budget_lines, budget_screen, state_of
from fleet.cli.grayview import gray_lines
from fleet.control.actions.budget import summed
from fleet.control.actions.graypool import pools_of
from fleet.control.actions.incidents import told
from fleet.vocabulary.contracts.policy_admin import (
    BudgetKind,
    BudgetLine,
    BudgetReport,
    DollarState,
    GrayReport,
    GrayReports,
    GrayState,
    Incident,
    Incidents,
)
from fleet.vocabulary.money import PICO_PER_USD as USD

LINES = (
    BudgetLine(kind=BudgetKind.FLEET, name="fleet", spent_pico=612 * USD, reserved_pico=USD // 5, cap_pico=1200 * USD),
    BudgetLine(kind=BudgetKind.TRACK, name="dollar", spent_pico=410 * USD, cap_pico=400 * USD),
    BudgetLine(kind=BudgetKind.TRACK, name="token", tokens=812_345_678, cap_tokens=900_000_000),
    BudgetLine(kind=BudgetKind.KEY, name="anna", spent_pico=39 * USD, cap_pico=40 * USD),
    BudgetLine(kind=BudgetKind.KEY, name="ben", spent_pico=5),
)


def report(**changes: object) -> BudgetReport:
    values = {
        "node": "front-1",
        "month": "2026-11",
        "at_seconds": 1_795_000_000.0,
        "month_begins_seconds": 1_793_491_200.0,
        "month_ends_seconds": 1_796_083_200.0,
        "lines": LINES,
        **changes,
    }
    return BudgetReport(**values)  # type: ignore[arg-type]


def text_of(found: BudgetReport, *, every: bool = False, unicode: bool = True) -> str:
    console = Console(width=120, no_color=True)
    with console.capture() as capture:
        console.print(budget_screen(summed([found]), unicode=unicode, every=every))
    return capture.get()


def test_a_line_says_by_shape_and_word_how_full_its_cap_is() -> None:
    text = text_of(report())
    assert "● fleet" in text
    assert "■ track dollar" in text
    assert "102 % FULL" in text
    assert "▲ track token" in text
    assert "812M of 900M" in text
    assert "▲ key anna" in text
    assert "key ben" not in text
    assert "<0.01" in text_of(report(), every=True)
    assert "# track" not in text_of(report(), unicode=False)
    assert "X track dollar" in text_of(report(), unicode=False)


def test_held_money_counts_as_used() -> None:
    line = BudgetLine(kind=BudgetKind.KEY, name="k", spent_pico=79, reserved_pico=1, cap_pico=100)
    assert state_of(line) == "warn"
    assert state_of(BudgetLine(kind=BudgetKind.KEY, name="k", cap_pico=0)) == "ok"
    assert state_of(BudgetLine(kind=BudgetKind.KEY, name="k", spent_pico=1, cap_pico=0)) == "FULL"
    assert state_of(BudgetLine(kind=BudgetKind.KEY, name="k", spent_pico=1)) == ""


def test_what_the_sums_do_not_say_is_below_them() -> None:
    told_by = report(
        ledger_problem="no space left on device",
        unsettled=3,
        dollar=DollarState.DOWNGRADED,
        dollar_until_seconds=1_795_132_800.0,
        dollar_reason="week 2026-W46 spent too much",
    )
    text = " ".join(text_of(told_by).split())
    assert "front-1: paid routes are closed: no space left on device" in text
    assert "the dollar track is downgraded until 2026-11-20 00:00 UTC: week 2026-W46 spent too much" in text
    assert "the cost of 3 attempts is not known yet" in text


def test_plain_lines_have_all_columns_without_blanks_in_them() -> None:
    lines = list(budget_lines(summed([report()]), every=True))
    assert lines[0] == "fleet fleet ok 612.00 0.2000 1200.00 0 - - -"
    assert all(len(line.split()) == 10 for line in lines)


def gray(node: str, **changes: object) -> GrayReports:
    values = {"route": "pool", "models": ("owl",), "feeds": ("token-track",), "share": "0.10", **changes}
    return GrayReports(node=node, at_seconds=1.0, routes=(GrayReport(**values),))  # type: ignore[arg-type]


def test_the_share_is_shown_against_its_cap_with_the_eligible_and_the_interval() -> None:
    (pool,) = pools_of([gray("f1", requests=600, gray=58, eligible=590), gray("f2", requests=400, gray=40, eligible=0)])
    head, sums = (line.plain for line in gray_lines(pool, unicode=True))
    assert head == "● pool  on  owl  fed by token-track"
    assert "9.80 % of 1,000 requests (98 gray); cap 10 %; eligible n = 590" in sums
    assert "(95 %)" in sums


def test_a_week_without_requests_has_no_share_and_caps_that_differ_are_not_averaged() -> None:
    (pool,) = pools_of([gray("f1")])
    assert "nothing was committed yet; cap 10 %" in list(gray_lines(pool, unicode=True))[1].plain
    (pool,) = pools_of([gray("f1", requests=1), gray("f2", share="0.2")])
    assert "fronts differ in their cap" in list(gray_lines(pool, unicode=True))[1].plain


def test_a_pool_that_one_front_rolled_back_is_rolled_back_and_says_where_and_why() -> None:
    rolled = {"state": GrayState.ROLLED_BACK, "reason": "tool calls fail more", "since_seconds": 1_795_000_000.0}
    (pool,) = pools_of([gray("f1"), gray("f2", **rolled, calls=20, failures=4, verdict="worse")])
    text = "\n".join(line.plain for line in gray_lines(pool, unicode=False))
    assert "X pool  ROLLED BACK" in text
    assert "f2: tool calls fail 20.0 % of 20, the week before - of 0: worse" in text
    assert "f2: rolled back since 2026-11-18 11:06 UTC: tool calls fail more" in text
    assert "f1: on" in text


def test_an_incident_is_told_once_with_the_fronts_where_it_is_open() -> None:
    one = Incident(name="INC-7", opened_seconds=100.0, until_seconds=1000.0, by="anna", spent_pico=5)
    closed = Incident(name="INC-7", opened_seconds=110.0, until_seconds=1000.0, closed_seconds=150.0, spent_pico=2)
    old = Incident(name="INC-1", opened_seconds=1.0, until_seconds=2.0)
    first, second = told(
        [
            Incidents(node="f1", at_seconds=200.0, incidents=(one, old)),
            Incidents(node="f2", at_seconds=200.0, incidents=(closed,)),
        ]
    )
    assert (first.name, first.open_at, first.known_at, first.spent_pico) == ("INC-7", ("f1",), ("f1", "f2"), 7)
    assert first.closed_seconds is None
    assert (second.name, second.open_at) == ("INC-1", ())


def test_the_end_of_the_month_is_an_interval_once_enough_days_are_over() -> None:
    days = (USD,) * 16 + (0,) * 14
    lines = list(budget_lines(summed([report(days_pico=days, today=16)]), every=True))
    assert lines[0].endswith(" 30-30")
    early = list(budget_lines(summed([report(days_pico=days[:3], today=3)]), every=True))
    assert early[0].endswith(" -")
