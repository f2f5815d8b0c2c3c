"""Traffic as rows, lines and one line: pure, so at every width and of everything that fronts can say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traffic_kit import (
    EMPTY_TRAFFIC,
    HEALTHY_TRAFFIC,
    MIXED_TRAFFIC,
    STALE_TRAFFIC,
    USD,
    budget,
    gray,
)
from tui_kit import NOW

from fleet.control.actions.graypool import pools_of
from fleet.control.actions.traffic import Traffic
from fleet.control.watch.statewords import Tone
from fleet.practice.budget import summed
from fleet.traffic.budget.projection import Projection
from fleet.tui.traffic import TrafficPainter
from fleet.tui.traffic_cells import Pen, count, dollars, percent, span
from fleet.tui.traffic_detail import traffic_lines
from fleet.tui.traffic_line import summary
from fleet.tui.traffic_money import Spent, gray_state, gray_verdict, tracks_of
from fleet.tui.traffic_rows import Section, TrafficRow, rows_of
from fleet.vocabulary.contracts.policy_admin import BudgetKind, BudgetLine, DollarState, GrayState

EVERY = (HEALTHY_TRAFFIC, MIXED_TRAFFIC, STALE_TRAFFIC, EMPTY_TRAFFIC)
PEN = Pen()


def said(found: Traffic, width: int = 118, pen: Pen = PEN) -> list[str]:
    painter = TrafficPainter(pen)
    return ["".join(cell.text for cell in painter.cells(row, width)).rstrip() for row in rows_of(found, NOW)]


def line(found: Traffic | None, width: int = 118, pen: Pen = PEN) -> str:
    return "".join(cell.text for cell in summary(found, NOW, width=width, pen=pen))


def row(found: Traffic, section: Section, name: str) -> TrafficRow:
    return next(one for one in rows_of(found, NOW) if (one.section, one.name) == (section, name))


def detail(one: TrafficRow) -> str:
    return "\n".join("".join(cell.text for cell in cells) for cells in traffic_lines(one, height=5, pen=PEN))


@given(st.sampled_from(EVERY), st.integers(20, 220), st.booleans(), st.text(max_size=12))
def test_no_line_is_wider_than_the_screen_and_no_filter_fails(
    found: Traffic, width: int, unicode: bool, sought: str
) -> None:
    pen = Pen(unicode)
    painter = TrafficPainter(pen)
    for one in rows_of(found, NOW, sought=sought):
        assert len("".join(cell.text for cell in painter.cells(one, width))) <= max(width, 80)
        assert traffic_lines(one, height=5, pen=pen)
    assert len(line(found, width, pen)) <= width


@pytest.mark.parametrize("found", EVERY)
def test_without_unicode_every_sign_is_ascii(found: Traffic) -> None:
    pen = Pen(unicode=False)
    text = "\n".join([*said(found, 80, pen), line(found, 80, pen)])
    assert text.isascii()


def test_a_figure_of_fewer_fronts_says_so_and_who_is_away_is_named() -> None:
    heads = [
        text for text in said(MIXED_TRAFFIC) if text.strip().startswith(("MONTH", "GRAY", "UPSTREAM", "IN FLIGHT"))
    ]
    assert len(heads) == 4
    assert all("(1/2)" in text for text in heads)
    assert any(
        "front-2" in text and "○ away" in text and "no answer on port 22" in text for text in said(MIXED_TRAFFIC)
    )
    assert "○ front-2 away" in line(MIXED_TRAFFIC)
    assert line(MIXED_TRAFFIC, 78).endswith("○ away")


def test_what_is_old_is_dim_but_for_its_name_and_says_how_old() -> None:
    painter = TrafficPainter(PEN)
    for one in rows_of(STALE_TRAFFIC, NOW):
        if one.name and one.section is not Section.NOTES:
            assert {cell.style for cell in painter.cells(one, 118)[2:]} == {Tone.DIM}
    assert "as of 6m40s ago" in line(STALE_TRAFFIC)
    assert "its figures here are from before" in "\n".join(said(STALE_TRAFFIC))


def test_what_runs_is_old_sooner_than_what_was_counted() -> None:
    later = NOW + timedelta(seconds=60)
    old = {one.section for one in rows_of(HEALTHY_TRAFFIC, later) if one.stale}
    assert old == {Section.UPSTREAMS, Section.REQUESTS}


def test_a_fleet_without_a_policy_is_calm() -> None:
    assert line(EMPTY_TRAFFIC) == "0 in flight"
    assert [one.section for one in rows_of(EMPTY_TRAFFIC, NOW)] == [Section.UPSTREAMS, Section.REQUESTS]
    assert line(None) == ""
    assert line(Traffic(fronts=())) == ""


def test_the_first_screen_tells_share_cap_eligible_money_its_end_and_what_runs() -> None:
    assert line(HEALTHY_TRAFFIC) == (
        "gray ● 7.9 %, cap 10 %, n 1,203  month ● $271 of $1,050, end $344-407  4 in flight"
    )
    assert line(HEALTHY_TRAFFIC, 78) == ("gray ● 7.9 %, cap 10 %, n 1,203  ● $271 of $1,050, end $344-407  4 in flight")


def test_what_nobody_told_is_never_0() -> None:
    found = replace(HEALTHY_TRAFFIC, sums=replace(HEALTHY_TRAFFIC.sums, hour=None, day=None))
    cells = TrafficPainter(PEN).cells(row(found, Section.UPSTREAMS, "mini-03/qwen3-30b"), 118)
    assert [cell.text.strip() for cell in cells[4:]] == ["-"] * 7
    assert "last hour: not known" in detail(row(found, Section.UPSTREAMS, "mini-03/qwen3-30b"))
    known = TrafficPainter(PEN).cells(row(HEALTHY_TRAFFIC, Section.UPSTREAMS, "mini-03/qwen3-30b"), 118)
    assert known[4].text.strip() == "0"


@pytest.mark.parametrize(
    ("spent", "cap", "expected", "word"),
    [(100, None, 90, None), (100, 200, 190, "ok"), (100, 200, 210, "cap ahead"), (160, 200, 150, "warn"),
     (200, 200, 200, "FULL"), (1, 0, 1, "FULL"), (0, 0, 0, "ok")],
)  # fmt: skip
def test_the_state_of_a_budget(spent: int, cap: int | None, expected: int, word: str | None) -> None:
    one = Spent(
        BudgetLine(kind=BudgetKind.FLEET, name="", spent_pico=spent, cap_pico=cap),
        Projection(expected=expected, low=expected, high=expected, days=9),
    )
    assert (one.state.word if one.state else None) == word


def test_what_is_held_counts_as_used() -> None:
    one = Spent(BudgetLine(kind=BudgetKind.FLEET, name="", spent_pico=60, reserved_pico=40, cap_pico=100))
    assert one.state is not None
    assert one.state.word == "FULL"


@pytest.mark.parametrize("state", [DollarState.DOWNGRADED, DollarState.CAPPED])
def test_only_the_dollar_track_has_the_dollar_tracks_state(state: DollarState) -> None:
    found = {one.name: one.state for one in tracks_of(summed([budget(dollar=state)]))}
    dollar, token = found["track dollar"], found["track token"]
    assert dollar is not None
    assert token is not None
    assert (dollar.word.lower(), token.word) == (state.value, "ok")


def test_a_gray_route_that_gets_nothing_though_much_could_go_there_is_silent() -> None:
    (quiet,) = pools_of([gray(gray=0)])
    assert gray_state(quiet).word == "silent"
    (new,) = pools_of([gray(gray=0, eligible=99)])
    assert gray_state(new).word == "on"


def test_a_gray_route_stands_as_at_its_worst_front_and_says_what_that_says() -> None:
    (pool,) = pools_of([gray(), gray("front-2", state=GrayState.SUSPENDED, verdict="worse", reason="bad_json x5")])
    assert (gray_state(pool).word, gray_verdict(pool).word) == ("suspended", "worse")
    text = detail(TrafficRow(Section.GRAY, pool.route, pool))
    assert "front-2: bad_json x5" in text
    assert "do:   fleet gray enable owl-pool" in text


def test_caps_that_differ_are_no_cap() -> None:
    (pool,) = pools_of([gray(), gray("front-2", share="0.2")])
    assert "fronts differ in their cap" in detail(TrafficRow(Section.GRAY, pool.route, pool))
    assert pool.share != Fraction("0.1")


def test_a_row_that_says_the_same_is_the_same_object() -> None:
    before = rows_of(HEALTHY_TRAFFIC, NOW)
    later = rows_of(replace(HEALTHY_TRAFFIC), NOW + timedelta(seconds=5), known=before)
    assert all(one is other for one, other in zip(before, later, strict=True))


def test_a_filter_leaves_the_rows_that_have_all_words_each_below_its_head() -> None:
    rows = rows_of(MIXED_TRAFFIC, NOW, sought="qwen3 !down")
    assert [one.name for one in rows if one.name] == ["mini-01/qwen3-30b", "studio-1/qwen3-30b", "01KAF3Q8Z1X"]
    assert [one.section for one in rows if not one.name] == [Section.UPSTREAMS, Section.REQUESTS]


@pytest.mark.parametrize(
    ("pico", "text"),
    [(0, "$0.00"), (1, "<$0.01"), (USD // 100, "$0.01"), (99 * USD, "$99.00"), (1234 * USD, "$1,234"), (None, "-")],
)
def test_money_in_few_characters(pico: int | None, text: str) -> None:
    assert dollars(pico) == text


@given(st.integers(0, 10**15))
def test_a_count_has_at_most_five_characters(number: int) -> None:
    assert 1 <= len(count(number)) <= 5


@given(st.floats(0, 10**8))
def test_a_span_has_at_most_six_characters(seconds: float) -> None:
    assert 1 <= len(span(seconds)) <= 6


def test_a_share_that_is_not_known_is_not_0() -> None:
    assert (percent(None), percent(0.0), percent(0.0792, 2)) == ("-", "0 %", "7.92 %")
