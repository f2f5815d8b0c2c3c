"""A book is the sum of its rows: whatever their order, however often they come, whichever are there yet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.traffic.budget.book import Book
from fleet.traffic.budget.calendar import BudgetCalendar, Month, week_of
from fleet.traffic.budget.limits import FLEET, Kind, Limit, Scope, Sum
from fleet.vocabulary.contracts.ledger import CostSource, Note, Owner, Row
from fleet.vocabulary.names import Track
from tests.traffic.budget.money_rows import (
    CI,
    DAY,
    HOUR,
    NOON,
    USD,
    adjustment,
    at,
    filled,
    request,
    reservation,
    settlement,
    spent_row,
    sql_sum,
)

BERLIN = BudgetCalendar.of("Europe/Berlin")
DOLLAR = Scope(Kind.TRACK, "dollar")
NOVEMBER = Month(2026, 11)
OWNERS = (CI, Owner(key="ide", person="bob", team="core"), Owner(key="bare"))
TICKETS = ("", "SEC-1", "OPS-2")
INCIDENTS = ("", "INC-7")
SCOPES = [
    FLEET,
    *(Scope(Kind.TRACK, track.value) for track in Track),
    *(Scope(Kind.KEY, owner.key) for owner in OWNERS),
    *(Scope(Kind.PERSON, owner.person) for owner in OWNERS if owner.person),
    Scope(Kind.TEAM, "core"),
    *(Scope(Kind.TICKET, ticket) for ticket in TICKETS if ticket),
    Scope(Kind.INCIDENT, "INC-7"),
]

instants = st.integers(at("2026-10-25 00:00"), at("2026-12-05 00:00"))
ids = st.sampled_from([f"r{number}/1" for number in range(6)])
picos = st.integers(0, 50 * USD)


@st.composite
def row_sets(draw: st.DrawFn) -> list[Row]:
    """Rows of a ledger: of every reservation at most one content, of a settlement several words."""
    rows: list[Row] = [
        reservation(
            name,
            draw(picos),
            draw(instants),
            owner=draw(st.sampled_from(OWNERS)),
            track=draw(st.sampled_from(Track)),
            ticket=draw(st.sampled_from(TICKETS)),
            incident=draw(st.sampled_from(INCIDENTS)),
        )
        for name in draw(st.sets(ids))
    ]
    rows += [
        settlement(name, draw(picos), draw(instants), draw(st.sampled_from(CostSource)))
        for name in draw(st.lists(ids, max_size=8))
    ]
    rows += [
        adjustment(f"a{number}", draw(picos) - 25 * USD, draw(instants), of=name, track=draw(st.sampled_from(Track)))
        for number, name in enumerate(draw(st.lists(st.one_of(ids, st.just("")), max_size=5)))
    ]
    tokens = st.none() | st.integers(0, 10**6)
    rows += [
        request(name, draw(tokens), draw(instants), owner=draw(st.sampled_from(OWNERS))) for name in draw(st.sets(ids))
    ]
    return rows


def sums(book: Book) -> dict[tuple[Month, Scope], Sum]:
    months = (Month(2026, 10), NOVEMBER, Month(2026, 12))
    return {(month, scope): book.sum(scope, month) for month in months for scope in SCOPES}


@given(data=st.data(), rows=row_sets())
def test_a_book_equals_the_sum_over_its_rows_in_any_order_with_duplicates_and_at_every_prefix(
    data: st.DataObject, rows: list[Row]
) -> None:
    again = data.draw(st.lists(st.sampled_from(rows), max_size=6)) if rows else []
    order = data.draw(st.permutations([*rows, *again]))
    cut = data.draw(st.integers(0, len(order)))
    for prefix in (order[:cut], order):
        book = filled(prefix, BERLIN)
        for (month, scope), found in sums(book).items():
            assert found == sql_sum(prefix, scope, month, BERLIN), (month, scope)
    one, other = filled(rows, BERLIN), filled(order, BERLIN)
    for week in (week_of(NOON), week_of(NOON).previous, week_of(at("2026-12-01 00:00"))):
        for track in Track:
            assert one.week_pico(track, week) == other.week_pico(track, week)
            assert one.known_pico(track, NOVEMBER, week) == other.known_pico(track, NOVEMBER, week)
    assert one.daily_pico(NOVEMBER) == other.daily_pico(NOVEMBER)
    assert sum(one.daily_pico(NOVEMBER)) == one.sum(FLEET, NOVEMBER).spent


def test_an_attempt_counts_in_the_month_of_its_reservation_and_its_cost_in_the_week_in_which_it_became_known() -> None:
    book = Book(BudgetCalendar.of("UTC"))
    eve, after = at("2026-11-30 23:59"), at("2026-12-07 00:05")
    book.add(reservation("r/1", 10 * USD, eve))
    assert book.sum(DOLLAR, NOVEMBER) == Sum(0, 10 * USD)
    book.add(settlement("r/1", 4 * USD, after))
    assert book.sum(DOLLAR, NOVEMBER) == Sum(4 * USD, 0)
    assert book.sum(DOLLAR, Month(2026, 12)) == Sum()
    assert book.week_pico(Track.DOLLAR, week_of(eve)) == 0
    assert book.week_pico(Track.DOLLAR, week_of(after)) == 4 * USD


def test_a_limit_that_is_reached_stops_the_next_promise_and_changes_nothing() -> None:
    book, cap = Book(BERLIN), (Limit(DOLLAR, 10 * USD),)
    assert book.reserve(reservation("r1/1", 6 * USD), cap) is None
    assert book.reserve(reservation("r2/1", 5 * USD), cap) == cap[0]
    assert book.sum(DOLLAR, NOVEMBER).reserved == 6 * USD
    assert book.reserve(reservation("r3/1", 4 * USD), cap) is None
    assert book.reserve(reservation("r4/1", 0), cap) is None


def test_a_promise_that_did_not_reach_the_ledger_is_taken_back_whole_and_a_settled_one_is_not() -> None:
    book = Book(BERLIN)
    book.add(reservation("r/1", USD))
    book.take_back("r/1")
    assert sums(book) == sums(Book(BERLIN))
    book.add(reservation("r/1", USD))
    book.add(settlement("r/1", USD))
    book.take_back("r/1")
    assert book.sum(DOLLAR, NOVEMBER).spent == USD
    book.take_back("never/1")


def test_tokens_in_flight_count_until_the_request_has_ended() -> None:
    book, most = Book(BERLIN), (Limit(Scope(Kind.KEY, "ci"), tokens=100),)
    assert book.hold("r1", owner=CI, track=Track.TOKEN, tokens=60, at=NOON, limits=most) is None
    assert book.hold("r2", owner=CI, track=Track.TOKEN, tokens=60, at=NOON, limits=most) == most[0]
    book.add(request("r1", 20))
    assert book.sum(Scope(Kind.KEY, "ci"), NOVEMBER) == Sum(tokens=40)
    assert book.hold("r2", owner=CI, track=Track.TOKEN, tokens=60, at=NOON, limits=most) is None
    book.let_go("r2")
    book.let_go("r2")
    assert book.sum(Scope(Kind.KEY, "ci"), NOVEMBER) == Sum(tokens=40)


def test_a_ticket_is_counted_over_months_and_over_what_was_before_the_book() -> None:
    book = Book(BERLIN, {"SEC-1": 30 * USD})
    book.add(reservation("r1/1", 10 * USD, at("2026-10-31 12:00")))
    book.add(reservation("r2/1", 5 * USD, NOON))
    assert book.ticket("SEC-1") == Sum(30 * USD, 15 * USD)
    limit = Limit(Scope(Kind.TICKET, "SEC-1"), 50 * USD, forever=True)
    assert book.stopped((limit,), 5 * USD, NOON) is None
    assert book.stopped((limit,), 5 * USD + 1, NOON) == limit


def test_what_is_no_money_changes_no_sum() -> None:
    book = Book(BERLIN)
    assert book.add(Note(id="n", kind="taint", subject="s", at_milliseconds=NOON)) is False
    assert book.latest == NOON


def test_the_book_s_time_never_goes_back() -> None:
    book = Book(BERLIN)
    assert book.now(NOON) == NOON
    assert book.now(NOON - HOUR) == NOON
    book.add(reservation("r/1", 1, NOON + HOUR))
    assert book.now(NOON) == NOON + HOUR


def test_folding_keeps_every_sum_and_a_row_that_comes_again_counts_no_second_time() -> None:
    rows = [row for number in range(50) for row in spent_row(f"r{number}/1", USD, NOON - 9 * DAY + number)]
    rows += [request(f"r{number}", 5, NOON - 9 * DAY + number) for number in range(50)]
    rows += [adjustment("a1", USD, NOON - 8 * DAY, of="r1/1"), reservation("open/1", 7, NOON - 9 * DAY)]
    book = filled(rows, BERLIN)
    before, size = sums(book), book.size
    book.fold(NOON)
    assert book.size < size / 5
    assert sums(book) == before
    for row in rows:
        book.add(row)
    assert sums(book) == before
    book.add(settlement("open/1", 3, NOON))
    assert book.sum(DOLLAR, NOVEMBER).reserved == 0
    assert book.sum(DOLLAR, NOVEMBER).spent == before[NOVEMBER, DOLLAR].spent + 3


def test_a_request_that_began_before_the_last_fold_and_ended_after_it_is_counted_once() -> None:
    book = Book(BERLIN)
    book.fold(NOON)
    long = replace(request("r", 50, NOON - 3 * HOUR), seconds=3 * 3600.0 + 5)
    assert book.add(long) is True
    assert book.add(long) is False
    book.fold(NOON + HOUR)
    assert book.add(long) is False
    assert book.sum(FLEET, NOVEMBER).tokens == 100


def test_a_correction_of_a_folded_attempt_counts_for_its_owner_when_the_attempt_is_given() -> None:
    first = reservation("r/1", USD, NOON - 9 * DAY)
    book = filled([first, settlement("r/1", USD, NOON - 9 * DAY)], BERLIN)
    book.fold(NOON)
    book.add(adjustment("a", 5, NOON, of="r/1"), first)
    assert book.sum(Scope(Kind.KEY, "ci"), NOVEMBER).spent == USD + 5


@pytest.mark.parametrize("months", [3, 24])
def test_memory_follows_the_rows_since_the_last_fold_not_the_age_of_the_ledger(months: int) -> None:
    book, when = Book(BERLIN), at("2024-01-01 00:00")
    for number in range(months * 30):
        when += DAY
        for row in spent_row(f"r{number}/1", USD, when):
            book.add(row)
        book.fold(when - 3 * DAY)
    assert book.size < 150
    assert book.ticket("SEC-1").spent == months * 30 * USD
