"""A ledger is replayed: nothing is lost, what stays stays as billed, and a price that nobody knows is no 0."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.practice.sources import Told
from fleet.practice.usage import Usage, together
from fleet.practice.whatif.prices import ModelPrice, NoPrice, stated
from fleet.practice.whatif.replay import BY, ELSEWHERE, Elsewhere, Move, move_of, replayed
from fleet.vocabulary.contracts.usage import UsageLine, UsageQuery, UsageReport
from fleet.vocabulary.money import PICO_PER_USD as USD

SMALL = ModelPrice(prompt=Fraction("0.14"), completion=Fraction("0.28"), cached=Fraction("0.02"), said_by="a list")
PRICES = {"small": SMALL}


def line(asked: str, model: str, tier: str = "api", **more: object) -> UsageLine:
    return UsageLine(names=(asked, model, tier), **more)  # type: ignore[arg-type]


def usage(*lines: UsageLine, **away: str) -> Usage:
    report = UsageReport(node="front-1", lines=lines)
    return together(UsageQuery(by=BY), Told(reports={"front-1": report}, away=away))


BIG = line("code", "big", requests=10, prompt_tokens=1_000_000, cached_tokens=400_000, completion_tokens=50_000)
BIG = UsageLine(
    **{name: getattr(BIG, name) for name in BIG.__struct_fields__ if name not in ("spent_pico", "reserved_pico")},
    spent_pico=5 * USD,
    reserved_pico=USD,
)


def test_what_moves_is_reckoned_by_the_price_of_where_it_goes() -> None:
    found = replayed(usage(BIG), Elsewhere(moves=[Move(of="big", to="small")], prices=PRICES), title="")

    assert [(row.name, row.pico, row.tokens, row.requests) for row in found.before] == [("big", 6 * USD, 1_050_000, 10)]
    (row,) = found.after
    assert (row.name, row.tokens, row.requests) == ("small", 1_050_000, 10)
    assert row.pico == USD * (600_000 * 14 + 400_000 * 2 + 50_000 * 28) // 10**8
    listed = "\n".join(found.assumptions)
    for words in ("moved: big to small", "0.14 in, cached 0.02, 0.28 out", "a list", "held and not settled"):
        assert words in listed


def test_a_part_of_a_route_moves_and_the_rest_stays_as_billed() -> None:
    other = line("docs", "big", prompt_tokens=7, spent_pico=3 * USD)
    moves = [move_of("route:code=small:0.25")]

    found = replayed(usage(BIG, other), Elsewhere(moves=moves, prices=PRICES), title="")

    by_name = {row.name: row for row in found.after}
    assert by_name["big"].pico == 3 * USD + 6 * USD * 3 // 4
    assert by_name["small"].tokens == 1_050_000 // 4


def test_a_price_that_nobody_states_makes_the_sum_unknown_and_is_named() -> None:
    found = replayed(usage(BIG), Elsewhere(moves=[Move(of="big", to="owl")]), title="")

    assert (found.unknown, found.after_pico, found.before_pico) == (("owl",), None, 6 * USD)


def test_an_own_mac_costs_nothing_by_the_token_and_that_is_said() -> None:
    elsewhere = Elsewhere(moves=[Move(of="big", to="qwen")], own=frozenset(["qwen"]))
    found = replayed(usage(BIG, line("code", "qwen", "fleet", requests=3)), elsewhere, title="")

    assert found.after_pico == 0
    assert any("on own Macs" in one for one in found.assumptions)


def test_another_price_reckons_what_stays_anew() -> None:
    found = replayed(usage(BIG), Elsewhere(prices={"big": SMALL}, repriced=frozenset(["big"])), title="")

    assert found.after_pico == USD * (600_000 * 14 + 400_000 * 2 + 50_000 * 28) // 10**8


def test_it_says_how_far_off_its_own_reckoning_is_and_who_is_missing() -> None:
    paid = UsageLine(
        names=("code", "small", "api"), prompt_tokens=1_000_000, completion_tokens=1_000_000, spent_pico=USD // 2
    )
    found = replayed(usage(paid, attic="no session"), Elsewhere(prices=PRICES), title="")

    assert found.notes[0].startswith("by these prices what was billed as 0.5000 USD would be 0.4200:")
    assert "attic did not answer" in found.notes[1]


def test_more_than_all_of_a_model_cannot_be_moved() -> None:
    moves = [move_of("big=small:0.7"), move_of("route:code=small:0.7")]
    with pytest.raises(NoPrice, match="more than all of big"):
        replayed(usage(BIG), Elsewhere(moves=moves, prices=PRICES), title="")


@pytest.mark.parametrize(
    ("text", "move"),
    [
        ("big=small", Move(of="big", to="small")),
        ("route:code=small:0.5", Move(of="code", to="small", part=Fraction(1, 2), is_route=True)),
        ("big=owl:free", Move(of="big", to="owl:free")),
        ("big=owl:free:0.1", Move(of="big", to="owl:free", part=Fraction(1, 10))),
    ],
)
def test_a_move_is_read_as_it_is_meant(text: str, move: Move) -> None:
    assert move_of(text) == move


@pytest.mark.parametrize("text", ["", "big", "=small", "big=", "big=small:0", "big=small:1.5", "big=:0.5"])
def test_what_moves_nothing_is_refused(text: str) -> None:
    with pytest.raises(NoPrice):
        move_of(text)


@pytest.mark.parametrize(
    "text", ["", "flash", "flash=1", "flash=1,2,3,4", "=1,2", "flash=a,b", "flash=-1,2", "f=nan,1", "f=1e999999999,1"]
)
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(NoPrice):
        stated(text)


_LINES = st.lists(
    st.builds(
        line,
        st.sampled_from(["code", "docs"]),
        st.sampled_from(["big", "small", "qwen", ""]),
        requests=st.integers(0, 10**6),
        prompt_tokens=st.integers(0, 10**9),
        completion_tokens=st.integers(0, 10**9),
        spent_pico=st.integers(0, 10**15),
    ),
    max_size=8,
    unique_by=lambda one: one.names,
)


@settings(max_examples=60)
@given(_LINES, st.sampled_from(["1", "0.62", "0.001"]), st.booleans())
def test_no_token_is_lost_and_what_nobody_moves_costs_what_it_did(
    lines: list[UsageLine], part: str, is_route: bool
) -> None:
    move = Move(of="code" if is_route else "big", to="small", part=Fraction(part), is_route=is_route)
    found = replayed(usage(*lines), Elsewhere(moves=[move], prices=PRICES), title="")

    tokens = sum(one.prompt_tokens + one.completion_tokens for one in lines)
    assert sum(row.tokens or 0 for row in found.before) == tokens
    assert abs(sum(row.tokens or 0 for row in found.after) - tokens) <= len(found.after)
    assert found.before_pico == sum(one.spent_pico for one in lines)
    still = replayed(usage(*lines), Elsewhere(moves=[Move(of="nobody", to="small")], prices=PRICES), title="")
    assert still.after == still.before
    assert all(row.name != "" for row in still.before)
    assert ELSEWHERE not in {row.name for row in still.before if row.name in ("big", "small", "qwen")}
