"""Caps of keys, teams, tracks and the fleet, what is told of them, and how a month will end."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.budget.alerts import alerts_due
from fleet.traffic.budget.book import Book
from fleet.traffic.budget.calendar import BudgetCalendar
from fleet.traffic.budget.caps import Caps
from fleet.traffic.budget.limits import FLEET, Kind, Limit, Scope
from fleet.traffic.budget.projection import LEAST_DAYS, projection
from fleet.traffic.keyring import HashedKey, KeyLimits
from fleet.traffic.policy import Policy, Team, TrackTerms
from fleet.vocabulary.names import Track
from tests.traffic.budget.money_rows import NOON, USD, at, filled, request, reservation, spent_row

UTC_MONTHS = BudgetCalendar.of("UTC")
PARTS = ("0.5", "0.8", "1")
POLICY = Policy(
    ledger_file="ledger.sqlite",
    budget_share="0.5",
    fleet=TrackTerms(monthly_usd="3000"),
    tracks={"token": TrackTerms(monthly_usd="1000", monthly_tokens=10**9)},
    teams=(Team(name="core", limits=KeyLimits(monthly_usd="400")), Team(name="free")),
)
KEY = HashedKey(name="ci", sha256="0" * 64, team="core", limits=KeyLimits(monthly_usd="50.01", monthly_tokens=1001))


def test_a_request_must_pass_its_key_its_team_its_track_and_the_fleet_each_by_this_front_s_share() -> None:
    found = Caps.of(POLICY).around(KEY, Track.TOKEN)
    assert [(str(limit.scope), limit.pico, limit.tokens) for limit in found] == [
        ("key ci", 25_005 * USD // 1000, 500),
        ("team core", 200 * USD, None),
        ("track token", 500 * USD, 5 * 10**8),
        ("the whole fleet", 1500 * USD, None),
    ]


def test_what_has_no_cap_is_not_capped() -> None:
    bare = HashedKey(name="bare", sha256="1" * 64, team="free")
    assert [str(limit.scope) for limit in Caps.of(POLICY).around(bare, Track.GRAY)] == ["the whole fleet"]
    assert Caps.of(Policy(ledger_file="x")).around(bare, Track.DOLLAR) == ()


def test_a_key_that_is_rotated_has_one_cap_for_both_of_its_texts() -> None:
    again = HashedKey(name="ci", sha256="2" * 64, team="core", limits=KEY.limits)
    assert len(Caps.of(POLICY).all([KEY, again])) == 4


def test_spending_of_a_whole_team_stops_each_of_its_keys() -> None:
    caps, book = Caps.of(POLICY), filled(spent_row("r/1", 199 * USD), UTC_MONTHS)
    other = HashedKey(name="ide", sha256="3" * 64, team="core")
    row = reservation("r2/1", 2 * USD)
    stopped = book.reserve(row, caps.around(other, Track.DOLLAR))
    assert stopped is not None
    assert str(stopped.scope) == "team core"


def test_each_part_of_a_cap_is_told_once_a_month_also_after_a_restart() -> None:
    book, cap = filled(spent_row("r/1", 85 * USD), UTC_MONTHS), Limit(FLEET, 100 * USD)
    first = alerts_due(book, [cap], PARTS, told=(), at=NOON)
    assert [json.loads(note.data)["part"] for note in first] == ["0.5", "0.8"]
    assert {note.kind for note in first} == {"alert"}
    told = {note.id for note in first}
    assert alerts_due(filled(spent_row("r/1", 85 * USD), UTC_MONTHS), [cap], PARTS, told=told, at=NOON) == ()
    book.add(reservation("r2/1", 15 * USD))
    assert [json.loads(note.data)["part"] for note in alerts_due(book, [cap], PARTS, told=told, at=NOON)] == ["1"]


def test_a_new_month_is_told_anew() -> None:
    december = at("2026-12-02 12:00")
    book = filled([*spent_row("r/1", 60 * USD), *spent_row("r2/1", 60 * USD, december)], UTC_MONTHS)
    cap = Limit(FLEET, 100 * USD)
    told = {note.id for note in alerts_due(book, [cap], PARTS, told=(), at=NOON)}
    assert [note.id for note in alerts_due(book, [cap], PARTS, told=told, at=december)] == [
        "alert/2026-12/fleet//pico/0.5"
    ]


def test_a_limit_that_stopped_somebody_is_reached_whole() -> None:
    book, cap = filled(spent_row("r/1", 99 * USD), UTC_MONTHS), Limit(FLEET, 100 * USD)
    parts = [json.loads(note.data)["part"] for note in alerts_due(book, [cap], PARTS, told=(), at=NOON, stopped=[cap])]
    assert parts == ["0.5", "0.8", "1"]


def test_tokens_are_told_apart_from_money() -> None:
    book = filled([request("r", 30)], UTC_MONTHS)
    cap = Limit(Scope(Kind.KEY, "ci"), USD, 100)
    (note,) = alerts_due(book, [cap], PARTS, told=(), at=NOON)
    assert (note.id, note.subject) == ("alert/2026-11/key/ci/tokens/0.5", "key ci")


def test_a_cap_of_nothing_is_never_told() -> None:
    assert alerts_due(Book(UTC_MONTHS), [Limit(FLEET, 0, 0)], PARTS, told=(), at=NOON) == ()


# --- projection -------------------------------------------------------------------------------------------------------


def test_before_five_days_are_over_it_is_too_early_to_say() -> None:
    assert projection([USD] * 30, LEAST_DAYS) is None
    assert projection([0] * 30, 20) is None
    assert projection([USD] * 5 + [0] * 25, LEAST_DAYS + 1) is not None


def test_equal_days_go_on_and_leave_no_doubt() -> None:
    found = projection([USD] * 10 + [0] * 20, 11)
    assert found is not None
    assert (found.expected, found.low, found.high, found.days) == (30 * USD, 30 * USD, 30 * USD, 10)


def test_uneven_days_leave_a_wide_interval_and_more_days_a_narrower_one() -> None:
    uneven = [0, 4 * USD] * 15
    early, late = projection([*uneven[:6], *[0] * 24], 7), projection([*uneven[:24], *[0] * 6], 25)
    assert early is not None
    assert late is not None
    assert early.high - early.low > 3 * (late.high - late.low)
    assert late.low <= 60 * USD <= late.high


@given(days=st.lists(st.integers(0, 100 * USD), min_size=28, max_size=31), today=st.integers(1, 31))
def test_a_projection_is_never_below_what_is_spent_and_holds_what_it_expects(days: list[int], today: int) -> None:
    days = [cost if number <= today else 0 for number, cost in enumerate(days, start=1)]
    found = projection(days, min(today, len(days)))
    if found is not None:
        assert sum(days) <= found.low <= found.expected <= found.high
