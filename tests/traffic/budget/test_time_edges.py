"""Edges of time: ISO week 53, a month's end inside a week, DST of the budget's zone, a clock that is set back."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.budget.book import Book
from fleet.traffic.budget.calendar import BudgetCalendar, Month, NotAZone, Week, allotment_pico, week_of
from fleet.traffic.budget.dollar import DOLLAR, DollarWord, dollar_state
from fleet.traffic.budget.limits import Limit
from fleet.traffic.budget.terms import Terms, TermsHistory
from fleet.traffic.gray.pool import Pool
from fleet.traffic.gray.reasons import NotGray
from fleet.traffic.policy import GrayTerms
from fleet.vocabulary.names import Track
from tests.traffic.budget.money_rows import DAY, HOUR, USD, adjustment, at, filled, reservation, spent_row

UTC_MONTHS = BudgetCalendar.of("UTC")
BERLIN = BudgetCalendar.of("Europe/Berlin")
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Havana", "Asia/Beirut", "Asia/Kathmandu",
    "Africa/Casablanca", "America/St_Johns", "Pacific/Apia", "Pacific/Kiritimati", "Australia/Lord_Howe",
]  # fmt: skip
LAST_WEEK = week_of(at("2026-12-28 00:00"))


def terms(cap_usd: int, since: int = 0) -> Terms:
    return Terms(since, cap_usd * USD, cap_usd * USD * 115 // 100, Fraction("1.15"))


def history(*all_terms: Terms) -> TermsHistory:
    return TermsHistory(all_terms or (terms(800),))


# --- ISO week 53 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2026-12-27 23:59", "2026-W52"),
        ("2026-12-28 00:00", "2026-W53"),
        ("2026-12-31 23:59", "2026-W53"),
        ("2027-01-01 00:00", "2026-W53"),
        ("2027-01-03 23:59", "2026-W53"),
        ("2027-01-04 00:00", "2027-W01"),
        ("1969-12-31 12:00", "1970-W01"),
    ],
)
def test_the_days_around_new_year_2027_are_one_iso_week(text: str, name: str) -> None:
    assert str(week_of(at(text))) == name


@given(st.integers(at("1971-01-01 00:00"), at("2100-01-01 00:00")))
def test_a_week_is_the_one_that_the_standard_library_says_and_holds_its_instants(instant: int) -> None:
    week, (year, number, _) = week_of(instant), datetime.fromtimestamp(instant // 1000, UTC).isocalendar()
    assert str(week) == f"{year:04d}-W{number:02d}"
    assert week.starts <= instant < week.ends
    assert Week(week.number + 1).previous == week


def test_week_53_is_judged_whole_and_downgrades_the_first_week_of_the_next_year() -> None:
    rows = [
        *spent_row("old/1", 110 * USD, at("2026-12-30 10:00")),
        *spent_row("new/1", 100 * USD, at("2027-01-02 10:00")),
    ]
    book = filled(rows, UTC_MONTHS)
    assert book.week_pico(Track.DOLLAR, LAST_WEEK) == 210 * USD
    assert dollar_state(book, history(), at("2027-01-03 23:59")).word is DollarWord.NORMAL
    for text in ("2027-01-04 00:00", "2027-01-07 12:00", "2027-01-10 23:59"):
        state = dollar_state(book, history(), at(text))
        assert (state.word, state.until) == (DollarWord.DOWNGRADED, at("2027-01-11 00:00"))
        assert state.overrun is not None
        assert str(state.overrun.week) == "2026-W53"
    assert dollar_state(book, history(), at("2027-01-11 00:00")).word is DollarWord.NORMAL


# --- a month's end inside a week --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("monday", "exact"),
    [
        ("2026-12-28 00:00", Fraction(800 * 7, 31)),
        ("2026-02-02 00:00", Fraction(800 * 7, 28)),
        ("2026-06-29 00:00", Fraction(800 * 2, 30) + Fraction(800 * 5, 31)),
        ("2028-02-28 00:00", Fraction(800 * 2, 29) + Fraction(800 * 5, 31)),
    ],
)
def test_a_week_may_cost_what_its_days_may_each_of_its_own_month(monday: str, exact: Fraction) -> None:
    found = allotment_pico(week_of(at(monday)), lambda _: 800 * USD)
    assert found == (exact * USD).numerator // (exact * USD).denominator
    assert 180 * USD < found <= 200 * USD


def test_a_cap_that_changes_inside_a_week_counts_from_its_day_on() -> None:
    changed = history(terms(310), terms(620, at("2026-12-30 12:00")))
    allowed = allotment_pico(LAST_WEEK, lambda instant: changed.at(instant).cap_pico)
    assert allowed == (2 * 10 + 5 * 20) * USD


def test_a_month_that_ends_inside_a_week_ends_its_cap_and_not_the_downgrade() -> None:
    june = [*spent_row("june/1", 800 * USD, at("2026-06-24 10:00"))]
    book = filled(june, UTC_MONTHS)
    capped = dollar_state(book, history(), at("2026-06-26 10:00"))
    assert (capped.word, capped.until) == (DollarWord.CAPPED, at("2026-07-01 00:00"))
    both = dollar_state(book, history(), at("2026-06-30 10:00"))
    assert (both.word, both.until) == (DollarWord.DOWNGRADED, at("2026-07-06 00:00"))
    july = dollar_state(book, history(), at("2026-07-01 00:00"))
    assert (july.word, july.until) == (DollarWord.DOWNGRADED, at("2026-07-06 00:00"))
    assert dollar_state(book, history(), at("2026-07-06 00:00")).word is DollarWord.NORMAL


def test_a_month_far_over_its_cap_is_an_overrun_of_each_of_its_weeks_until_it_is_over() -> None:
    book = filled(spent_row("june/1", 921 * USD, at("2026-06-02 10:00")), UTC_MONTHS)
    for text in ("2026-06-10 00:00", "2026-06-17 00:00", "2026-07-02 00:00"):
        assert dollar_state(book, history(), at(text)).overrun is not None
    assert dollar_state(book, history(), at("2026-07-06 00:00")).word is DollarWord.DOWNGRADED
    assert dollar_state(book, history(), at("2026-07-13 00:00")).word is DollarWord.NORMAL


def test_what_becomes_known_on_tuesday_downgrades_the_next_week_and_not_the_running_one() -> None:
    book = filled(spent_row("june/1", 700 * USD, at("2026-06-03 10:00")), UTC_MONTHS)
    book.add(adjustment("late", 250 * USD, at("2026-06-16 09:00")))
    running = dollar_state(book, history(), at("2026-06-16 10:00"))
    assert (running.word, running.overrun) == (DollarWord.CAPPED, None)
    following = dollar_state(book, history(), at("2026-06-22 00:00")).overrun
    assert following is not None
    assert str(following.week) == "2026-W25"


def test_a_week_is_judged_by_the_cap_that_was_in_force_then_and_not_by_a_later_one() -> None:
    book = filled(spent_row("r/1", 190 * USD, at("2026-06-09 10:00")), UTC_MONTHS)
    lowered = history(terms(800), terms(400, at("2026-06-16 10:00")))
    raised = history(terms(400), terms(800, at("2026-06-16 10:00")))
    assert dollar_state(book, lowered, at("2026-06-17 10:00")).word is DollarWord.NORMAL
    assert dollar_state(book, raised, at("2026-06-17 10:00")).word is DollarWord.DOWNGRADED


def test_money_promised_before_midnight_and_billed_after_it_is_the_old_month_s() -> None:
    book = Book(UTC_MONTHS)
    book.add(reservation("r/1", 700 * USD, at("2026-06-30 23:59")))
    for row in spent_row("r/1", 650 * USD, at("2026-07-01 00:05"))[1:]:
        book.add(row)
    assert book.sum(DOLLAR, Month(2026, 7)).committed == 0
    assert book.stopped((Limit(DOLLAR, 800 * USD),), 800 * USD, at("2026-07-01 00:06")) is None


# --- DST of the budget's zone -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("month", "starts"),
    [
        (Month(2026, 3), "2026-02-28 23:00"),
        (Month(2026, 4), "2026-03-31 22:00"),
        (Month(2026, 10), "2026-09-30 22:00"),
        (Month(2026, 11), "2026-10-31 23:00"),
    ],
)
def test_a_month_begins_at_midnight_of_its_zone_in_summer_and_in_winter(month: Month, starts: str) -> None:
    assert BERLIN.starts(month) == at(starts)
    assert BERLIN.month(at(starts)) == month
    assert BERLIN.month(at(starts) - 1) == month.previous


def test_a_month_that_loses_an_hour_has_all_its_days_and_one_hour_less() -> None:
    march = Month(2026, 3)
    assert BERLIN.ends(march) - BERLIN.starts(march) == 31 * DAY - HOUR
    october = Month(2026, 10)
    assert BERLIN.ends(october) - BERLIN.starts(october) == 31 * DAY + HOUR


@given(zone=st.sampled_from(ZONES), instant=st.integers(at("1975-01-01 00:00"), at("2040-01-01 00:00")))
def test_months_follow_each_other_without_a_gap_in_every_zone(zone: str, instant: int) -> None:
    calendar = BudgetCalendar.of(zone)
    month = calendar.month(instant)
    assert calendar.starts(month) <= instant < calendar.ends(month)
    assert calendar.month(calendar.ends(month)) == month.next == calendar.month(calendar.ends(month) + 1)
    assert calendar.month(calendar.starts(month) - 1) == month.previous
    assert month.next.previous == month
    assert 1 <= calendar.day(instant) <= month.days


def test_dst_moves_no_week() -> None:
    for text in ("2026-03-29 01:30", "2026-10-25 01:30"):
        week = week_of(at(text))
        assert week.ends - week.starts == 7 * DAY
        assert week.monday.isoweekday() == 1


def test_a_zone_that_does_not_exist_is_told() -> None:
    for name in ("Europe/Atlantis", "", "../etc/passwd"):
        with pytest.raises(NotAZone, match="time zone"):
            BudgetCalendar.of(name)


# --- a clock that is set back -----------------------------------------------------------------------------------------


def test_a_clock_set_back_into_the_last_month_opens_no_budget_of_it() -> None:
    book, cap = Book(UTC_MONTHS), (Limit(DOLLAR, 100 * USD),)
    assert book.reserve(reservation("nov/1", 10 * USD, book.now(at("2026-11-30 23:00"))), cap) is None
    assert book.reserve(reservation("dec/1", 95 * USD, book.now(at("2026-12-01 00:01"))), cap) is None
    back = book.now(at("2026-11-30 22:00"))
    assert back == at("2026-12-01 00:01")
    assert book.reserve(reservation("dec/2", 10 * USD, back), cap) is not None
    assert book.sum(DOLLAR, Month(2026, 11)).committed == 10 * USD


def test_a_book_that_was_rebuilt_goes_on_from_its_latest_row_when_the_clock_is_behind() -> None:
    book = filled(spent_row("r/1", USD, at("2026-12-01 00:01")), UTC_MONTHS)
    assert book.now(at("2026-11-30 12:00")) == at("2026-12-01 00:01")


def test_a_clock_set_back_over_midnight_gives_no_gray_credit() -> None:
    pool, today = Pool(GrayTerms(share="0.5")), at("2026-12-01 00:01")
    pool.turn("agents").proven(today)
    assert pool.turn("agents").take(1, today - HOUR) is NotGray.CREDIT
