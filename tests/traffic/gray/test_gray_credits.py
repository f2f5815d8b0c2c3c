"""Shares, credits, tokens, reasons and what screens tell of a gray pool."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.budget.exact import NotExact
from fleet.traffic.gray.credits import Credits
from fleet.traffic.gray.observed import wilson
from fleet.traffic.gray.pool import Mark, Pool
from fleet.traffic.gray.reasons import NotGray, Traits, ineligible
from fleet.traffic.gray.share import Share
from fleet.traffic.gray.standing import standing
from fleet.traffic.gray.tokencap import TokenCap
from fleet.traffic.policy import GrayTerms
from fleet.vocabulary.contracts.ledger import Note
from fleet.vocabulary.names import Sensitivity

PUBLIC = Traits(label=Sensitivity.PUBLIC, key_gray=True, tagged=True, only_text=True, clean=True)
NOON = 1_795_608_000_000


@pytest.mark.parametrize(
    ("text", "part", "whole"),
    [("0.10", 1, 10), ("0.1", 1, 10), ("0", 0, 1), ("1", 1, 1), ("1.0", 1, 1), ("0.333333333", 333333333, 10**9)],
)
def test_a_share_is_the_exact_fraction_that_was_written(text: str, part: int, whole: int) -> None:
    assert Share.parse(text) == Share(part, whole)


@pytest.mark.parametrize(
    "text",
    [
        0.1,
        1,
        None,
        "-0.1",
        "1.01",
        "2",
        "0.0000000000001",
        "1e-2",
        "nan",
        "",
        " 0.1",
        "0.1\n",
        "0,1",
        "1/10",
        "٠.١",
        "0_1",
    ],
)
def test_a_share_that_is_a_float_or_negative_or_too_much_or_too_fine_is_refused(text: object) -> None:
    with pytest.raises(NotExact):
        Share.parse(text)  # type: ignore[arg-type]


def test_at_a_tenth_the_first_gray_request_is_the_tenth_of_a_day() -> None:
    credit, gray = Credits(Share.parse("0.10")), []
    for number in range(1, 31):
        if credit.may_spend:
            credit = credit.spent()
            gray.append(number)
        else:
            credit = credit.committed()
    assert gray == [10, 20, 30]


def in_waves(burst: int, in_flight: int, waves: int) -> tuple[int, int]:
    """Gray and all requests of clients that ask together and are answered together: the worst order for credit."""
    pool, gray = Pool(GrayTerms(share="0.10", burst=burst)), 0
    for _ in range(waves):
        turns = [pool.turn("agents") for _ in range(in_flight)]
        gray += sum(turn.take(1, NOON) is None for turn in turns)
        for turn in turns:
            turn.proven(NOON)
    return gray, waves * in_flight


def test_a_burst_that_holds_what_requests_in_flight_earn_loses_nothing_and_a_smaller_one_does() -> None:
    gray, count = in_waves(burst=8, in_flight=64, waves=200)
    assert 95 * count <= 1000 * gray <= 100 * count
    gray, count = in_waves(burst=1, in_flight=64, waves=200)
    assert 1000 * gray < 20 * count


def test_credit_that_is_not_there_cannot_be_spent() -> None:
    with pytest.raises(ValueError, match="no credit"):
        Credits(Share.parse("0.10")).spent()
    with pytest.raises(ValueError, match="no credit"):
        TokenCap(Share.parse("0.10")).reserved(1)


def test_a_share_of_nothing_allows_nothing_and_a_whole_one_everything() -> None:
    assert not Credits(Share.parse("0")).committed().may_spend
    assert Credits(Share.parse("1")).may_spend
    assert not TokenCap(Share.parse("0")).proven(1000).affords(0)


def test_a_request_counts_once_however_many_attempts_it_takes() -> None:
    pool = Pool(GrayTerms(share="0.5"))
    turn = pool.turn("agents")
    for _ in range(3):
        turn.proven(NOON)
    assert pool.purse("agents").credits.credit == 1
    assert turn.take(10, NOON) is NotGray.PROVEN
    gray = pool.turn("agents")
    assert gray.take(10, NOON) is None
    assert gray.take(10, NOON) is None
    gray.proven(NOON)
    assert (gray.mark, pool.purse("agents").credits.credit) == (Mark.GRAY, 0)


def test_a_route_without_credit_cannot_use_the_credit_of_another() -> None:
    pool = Pool(GrayTerms(share="0.5", burst=3))
    for _ in range(3):
        pool.turn("ide").proven(NOON)
    assert pool.turn("agents").take(1, NOON) is NotGray.CREDIT
    assert pool.turn("ide").take(1, NOON) is None


def test_the_process_s_own_credit_bounds_the_burst_of_all_routes_together() -> None:
    pool = Pool(GrayTerms(share="0.5", burst=1))
    pool.turn("ide").proven(NOON)
    pool.turn("agents").proven(NOON)
    assert pool.turn("ide").take(1, NOON) is None
    assert pool.turn("agents").take(1, NOON) is NotGray.CREDIT


def test_tokens_that_were_held_and_not_used_come_back_and_unknown_ones_do_not() -> None:
    pool = Pool(GrayTerms(share="0.5", burst=9, token_share="0.5"))
    for _ in range(4):
        turn = pool.turn("agents")
        turn.proven(NOON)
        turn.ended(NOON, proven_tokens=100)
    used, lost = pool.turn("agents"), pool.turn("agents")
    assert used.take(400, NOON) is None
    assert lost.take(1, NOON) is NotGray.TOKEN_CREDIT
    used.ended(NOON, gray_tokens=10)
    used.ended(NOON, gray_tokens=0)
    assert lost.take(390, NOON) is None
    lost.ended(NOON)
    assert pool.turn("agents").take(1, NOON) is NotGray.TOKEN_CREDIT


def test_tokens_above_the_bound_are_a_debt_that_blocks_gray_also_after_midnight_until_it_is_earned() -> None:
    cap, held = TokenCap(Share.parse("0.5")).on(NOON).proven(10).reserved(10)
    cap = cap.settled(held, 25)
    assert cap.in_debt
    later = cap.on(NOON + 86_400_000)
    assert later.in_debt
    assert not later.proven(14).affords(0)
    assert later.proven(15).affords(0)


def test_what_was_held_before_midnight_gives_nothing_back_after_it() -> None:
    cap, held = TokenCap(Share.parse("0.5")).on(NOON).proven(100).reserved(100)
    after = cap.on(NOON + 86_400_000)
    assert after.settled(held, 1) == after


def test_a_token_cap_that_is_switched_off_and_on_again_gives_nothing_back_of_before() -> None:
    pool = Pool(GrayTerms(share="1", token_share="0.5"))
    turn = pool.turn("agents")
    pool.turn("agents").ended(NOON, proven_tokens=100)
    assert turn.take(100, NOON) is None
    pool.under(GrayTerms(share="1"))
    pool.under(GrayTerms(share="1", token_share="0.5"))
    turn.ended(NOON, gray_tokens=1)
    assert pool.turn("agents").take(1, NOON) is NotGray.TOKEN_CREDIT


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"key_gray": False}, NotGray.KEY),
        ({"label": Sensitivity.INTERNAL}, NotGray.LABEL),
        ({"label": Sensitivity.RESTRICTED}, NotGray.LABEL),
        ({"tagged": False}, NotGray.UNTAGGED),
        ({"only_text": False}, NotGray.PARTS),
        ({"clean": False}, NotGray.NOT_CLEAN),
    ],
)
def test_one_missing_condition_is_enough_to_stay_out_of_the_pool(change: dict[str, object], reason: NotGray) -> None:
    traits = {name: getattr(PUBLIC, name) for name in Traits.__slots__} | change
    assert ineligible(Traits(**traits)) is reason
    assert ineligible(PUBLIC) is None


def test_a_pool_that_waives_the_tag_takes_what_names_no_repository() -> None:
    traits = Traits(label=Sensitivity.PUBLIC, key_gray=True, tagged=False, only_text=True, clean=True)
    assert ineligible(traits, unlabelled=True) is None


def test_every_reason_has_a_sentence() -> None:
    assert all(reason.sentence for reason in NotGray)
    assert {reason for reason in NotGray if reason.of_request} >= {NotGray.LABEL, NotGray.NOT_CLEAN}
    assert not NotGray.CREDIT.of_request


def note(kind: str, at: int, *, until: int | None = None, data: str = "{}") -> Note:
    return Note(id=f"{kind}/{at}", kind=kind, subject="owl", at_milliseconds=at, until_milliseconds=until, data=data)


def test_the_last_note_decides_whether_a_pool_may_be_used_and_a_lapsed_one_says_nothing() -> None:
    notes = [
        note("gray_rolled_back", 10),
        note("gray_enabled", 20),
        note("gray_disabled", 30, until=40, data='{"reason":"suspended"}'),
        note("gray_disabled", 50, data="not json"),
        note("gray_disabled", 60, data='{"reason":"gone"}'),
    ]
    told = [standing(reversed(notes), "owl", at).reason for at in (5, 10, 25, 35, 45, 55, 65)]
    expected = [None, NotGray.ROLLED_BACK, None, NotGray.SUSPENDED, None, NotGray.OFF, NotGray.GONE]
    assert told == expected
    assert standing(notes, "another", 65).reason is None


def test_an_interval_says_how_little_a_few_tell() -> None:
    assert wilson(2, 10) == (pytest.approx(0.0567, abs=1e-4), pytest.approx(0.5098, abs=1e-4))
    assert wilson(200, 1000) == (pytest.approx(0.1764, abs=1e-4), pytest.approx(0.2259, abs=1e-4))
    assert wilson(0, 0) is None


@given(hits=st.integers(0, 50), count=st.integers(0, 50))
def test_an_interval_holds_the_rate_and_stays_between_0_and_1(hits: int, count: int) -> None:
    found = wilson(hits, count)
    if found is None:
        assert count == 0 or hits > count
    else:
        assert 0 <= found[0] <= hits / count <= found[1] <= 1
