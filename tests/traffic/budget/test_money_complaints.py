"""What users of other gateways complain about in money (SPEC section 3.3), as far as it is arithmetic."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.budget.book import Book
from fleet.traffic.budget.calendar import BudgetCalendar, Month
from fleet.traffic.budget.caps import Caps
from fleet.traffic.budget.limits import FLEET, Kind, Limit, Scope, Sum
from fleet.traffic.budget.reserve import Rates, cost_of_usage, reported_pico
from fleet.traffic.config import Price
from fleet.traffic.gray.pool import Pool
from fleet.traffic.keyring import HashedKey
from fleet.traffic.policy import GrayTerms, Policy, TrackTerms
from fleet.vocabulary.contracts.ledger import CostSource, Row
from fleet.vocabulary.names import Track
from tests.traffic.budget.money_rows import NOON, USD, adjustment, filled, request, reservation, settlement, spent_row

CALENDAR = BudgetCalendar.of("UTC")
NOVEMBER = Month(2026, 11)
CAP = (Limit(FLEET, 10 * USD),)


async def test_race_check_then_increment_a_hundred_requests_at_once_do_not_overshoot_by_their_number() -> None:
    book, going = Book(CALENDAR), []

    async def ask(number: int) -> None:
        await asyncio.sleep(0)
        row = reservation(f"r{number}/1", 3 * USD)
        if book.reserve(row, CAP) is None:
            await asyncio.sleep(0)  # the ledger commits, the upstream answers
            going.append(number)
            await asyncio.sleep(0)
            book.add(settlement(row.id, 3 * USD))
        assert book.sum(FLEET, NOVEMBER).committed <= 10 * USD

    await asyncio.gather(*(ask(number) for number in range(100)))
    assert len(going) == 3
    assert book.sum(FLEET, NOVEMBER) == Sum(9 * USD, 0)


def test_race_the_tokens_of_requests_in_flight_count_before_they_are_known() -> None:
    book, most = Book(CALENDAR), (Limit(FLEET, tokens=1000),)
    owner = reservation("r/1", 0).owner
    let_in = [
        book.hold(f"r{number}", owner=owner, track=Track.TOKEN, tokens=300, at=NOON, limits=most) is None
        for number in range(9)
    ]
    assert sum(let_in) == 3


def test_pod_local_budgets_two_fronts_together_do_not_admit_twice_the_cap() -> None:
    policy = Policy(ledger_file="x", budget_share="0.5", fleet=TrackTerms(monthly_usd="10"))
    key, promised = HashedKey(name="ci", sha256="0" * 64), 0
    for book in (Book(CALENDAR), Book(CALENDAR)):
        for number in range(20):
            row = reservation(f"r{number}/1", USD)
            promised += row.pico if book.reserve(row, Caps.of(policy).around(key, Track.TOKEN)) is None else 0
    assert promised == 10 * USD


@given(again=st.lists(st.integers(0, 5), max_size=30))
def test_phantom_spend_a_balance_that_is_seeded_again_and_again_is_what_it_was(again: list[int]) -> None:
    rows: list[Row] = [row for number in range(3) for row in spent_row(f"r{number}/1", 3 * USD)]
    book = filled(rows, CALENDAR)
    for index in again:
        book.add(rows[index])
    assert book.sum(FLEET, NOVEMBER) == Sum(9 * USD, 0)
    assert book.reserve(reservation("r9/1", USD), CAP) is None


def test_phantom_spend_a_request_that_was_refused_or_not_sent_leaves_nothing_behind() -> None:
    book = filled(spent_row("r/1", 8 * USD), CALENDAR)
    for number in range(50):
        assert book.reserve(reservation(f"big{number}/1", 5 * USD), CAP) is not None
        assert book.reserve(reservation(f"lost{number}/1", 2 * USD), CAP) is None
        book.take_back(f"lost{number}/1")
        assert book.reserve(reservation(f"unsent{number}/1", 2 * USD), CAP) is None
        book.add(settlement(f"unsent{number}/1", 0, source=CostSource.UNSENT))
    assert book.sum(FLEET, NOVEMBER) == Sum(8 * USD, 0)


def test_a_retried_request_of_one_id_is_not_promised_twice() -> None:
    book = Book(CALENDAR)
    for _ in range(3):
        assert book.reserve(reservation("r/1", 6 * USD), CAP) is None
    assert book.sum(FLEET, NOVEMBER).reserved == 6 * USD


def test_a_lost_process_frees_no_money_that_may_be_gone() -> None:
    book = filled([reservation("r/1", 8 * USD)], CALENDAR)
    assert book.reserve(reservation("r2/1", 5 * USD), CAP) is not None
    assert [row.id for row in book.unsettled()] == ["r/1"]


def test_miscount_a_streamed_cost_is_read_from_its_digits_and_not_through_a_float() -> None:
    said = json.loads('{"cost": 0.0000028000000001}', parse_float=Decimal)
    assert reported_pico(said["cost"]) == 2_800_001
    assert sum(reported_pico("0.1") or 0 for _ in range(10)) == USD


def test_miscount_a_client_that_left_is_held_for_the_whole_reservation_until_the_bill_is_known() -> None:
    book = filled([reservation("r/1", 4 * USD), settlement("r/1", 4 * USD, source=CostSource.UNRESOLVED)], CALENDAR)
    assert book.sum(FLEET, NOVEMBER) == Sum(4 * USD, 0)
    book.add(adjustment("r/1/adjust/1", -3 * USD, of="r/1"))
    assert book.sum(FLEET, NOVEMBER).spent == USD


def test_miscount_a_provider_s_own_cost_beats_the_price_table_whichever_comes_first() -> None:
    told = [
        settlement("r/1", 5, NOON, CostSource.ESTIMATED),
        settlement("r/1", 3, NOON + 9, CostSource.GENERATION),
        settlement("r/1", 2, NOON + 9, CostSource.PROVIDER),
        settlement("r/1", 9, NOON + 1, CostSource.UNRESOLVED),
    ]
    for order in permutations(told):
        assert filled([reservation("r/1", 9), *order], CALENDAR).sum(FLEET, NOVEMBER) == Sum(2, 0)


def test_miscount_unknown_tokens_are_not_zero_cost_and_not_zero_tokens_of_gray() -> None:
    assert cost_of_usage(Rates.of(Price(prompt="1", completion="1")), {}) is None
    pool = Pool(GrayTerms(share="1", token_share="0.5"))
    pool.turn("agents").ended(NOON, proven_tokens=100)
    silent = pool.turn("agents")
    assert silent.take(100, NOON) is None
    silent.ended(NOON, gray_tokens=None)
    assert pool.turn("agents").take(1, NOON) is not None


def test_miscount_a_request_without_counts_counts_as_one_without_tokens() -> None:
    book = filled([request("r", None)], CALENDAR)
    assert book.sum(FLEET, NOVEMBER) == Sum()


def test_weights_the_order_in_which_limits_routes_and_teams_are_written_changes_no_verdict() -> None:
    limits = [Limit(FLEET, 10 * USD), Limit(Scope(Kind.KEY, "ci"), 6 * USD), Limit(Scope(Kind.TEAM, "core"), 8 * USD)]
    for order in permutations(limits):
        book = Book(CALENDAR)
        verdicts = [book.reserve(reservation(f"r{number}/1", 2 * USD), order) is None for number in range(5)]
        assert verdicts == [True, True, True, False, False]


def test_weights_a_route_that_is_cooling_down_or_comes_back_changes_nobody_else_s_share() -> None:
    pool, gray = Pool(GrayTerms(share="0.10")), 0
    for number in range(1, 201):
        for route in ("agents", "ide") if number % 7 else ("ide",):
            turn = pool.turn(route)
            if turn.take(1, NOON) is None:
                gray += 1
            else:
                turn.proven(NOON)
    assert 30 < gray <= 37
