"""A stated mix is reckoned exactly, its bounds hold, and the case of six people comes out for the reasons it states."""

from __future__ import annotations

from fractions import Fraction
from importlib.resources import files
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.practice.whatif.mix import reckoned
from fleet.practice.whatif.mixfile import Assumed, BadMix, MixFile, check
from fleet.practice.whatif.outcome import WhatIf, as_builtins
from fleet.vocabulary.money import PICO_PER_USD as USD

SIMPLE: dict[str, Any] = {
    "title": "a move",
    "tokens": 1_000_000,
    "shape": {"completion": 0.1, "cached": 0.5},
    "prices": {"big": {"prompt": 3, "cached": 0.3, "completion": 15}, "small": {"prompt": 0.14, "completion": 0.28}},
    "before": {"parts": [{"model": "big", "share": 1}]},
    "after": {"parts": [{"model": "small", "share": 0.7}, {"model": "big", "share": 0.3}]},
}


def mix(**changes: Any) -> MixFile:
    found = msgspec.convert({**SIMPLE, **changes}, MixFile)
    check(found)
    return found


def test_a_sum_is_exact_to_the_pico_dollar() -> None:
    found = reckoned(mix())

    whole = (450_000 * 3 + 450_000 * 0.3 + 100_000 * 15) / 1e6
    assert found.before_pico == round(whole * USD) == 2_985_000_000_000
    assert [row.pico for row in found.after] == [107_800_000_000, 895_500_000_000]
    assert found.change == pytest.approx((1.0033 - 2.985) / 2.985)


def test_of_a_bill_the_tokens_are_those_that_it_buys() -> None:
    found = reckoned(mix(tokens=None, bill_usd=2.985))

    assert [row.tokens for row in found.before] == [1_000_000]
    assert found.before_pico == 2_985_000_000_000
    assert "nobody counted them" in found.assumptions[0]


def test_a_price_that_nobody_states_is_named_and_no_sum_is_made_of_it() -> None:
    after = {"parts": [{"model": "owl", "share": 1}]}
    found = reckoned(mix(after=after, prices={**SIMPLE["prices"], "hy3": {"prompt": 1, "completion": 1}}))

    assert (found.unknown, found.after_pico, found.change) == (("owl",), None, None)
    assert as_builtins(found)["after_usd"] is None
    assert found.before_pico is not None


def test_without_the_price_before_a_bill_says_nothing_of_tokens() -> None:
    found = reckoned(mix(tokens=None, bill_usd=100, prices={"small": SIMPLE["prices"]["small"]}))

    assert found.unknown == ("big",)
    assert (found.before_pico, found.after_pico) == (None, None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tokens": None}, "either `tokens` or `bill_usd`"),
        ({"bill_usd": 5}, "either `tokens` or `bill_usd`"),
        ({"after": {"parts": [{"model": "big", "share": 0.9}]}}, "add up to 0.9, not to 1"),
        ({"shape": {"completion": 1.5}}, "a part of a whole is at most 1"),
        ({"shape": {"completion": -0.1}}, "-0.1 is below 0"),
        ({"shape": {"completion": float("nan")}}, "nan is not a number"),
        ({"shape": {"completion": {"value": 0.5, "low": 0.6, "high": 0.7}}}, "is not between `low` and `high`"),
        (
            {"tokens": None, "bill_usd": 5, "before": {**SIMPLE["before"], "monthly": [{"name": "rent", "usd": 5}]}},
            "the whole bill",
        ),
    ],
)
def test_a_mix_that_makes_no_sense_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadMix) as refused:
        mix(**changes)
    assert says in str(refused.value)


_BOUNDS = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40)).map(sorted)


NAN, FREE = float("nan"), {"prompt": 0, "completion": 0}


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens": -5},
        {"tokens": 0},
        {"tokens": None, "bill_usd": NAN},
        {"tokens": None, "bill_usd": float("inf")},
        {"said": {"after_usd": NAN}},
        {"before": {"parts": [{"model": "big", "share": NAN}]}},
        {"before": {"parts": [{"model": "big", "share": 1.5}, {"model": "small", "share": -0.5}]}},
    ],
)
def test_a_number_that_is_none_is_refused_with_its_place(changes: dict[str, Any]) -> None:
    with pytest.raises(BadMix) as refused:
        mix(**changes)
    assert refused.value.path


@pytest.mark.parametrize(
    "changes",
    [
        {"prices": {**SIMPLE["prices"], "big": FREE}},
        {"prices": {**SIMPLE["prices"], "big": {key: {"value": 3, "low": 0, "high": 4} for key in FREE}}},
        {
            "before": {
                "parts": [{"model": "big", "share": 1}],
                "monthly": [{"name": "rent", "usd": {"value": 1, "low": 0, "high": 9}}],
            }
        },
    ],
)
def test_a_bill_from_which_no_tokens_follow_is_refused_and_not_reckoned_as_0(changes: dict[str, Any]) -> None:
    with pytest.raises(BadMix, match="no number of tokens follows"):
        reckoned(mix(tokens=None, bill_usd=5, **changes))


def bounded(three: list[int], scale: int) -> dict[str, float]:
    low, value, high = three
    return {"low": low / scale, "value": value / scale, "high": high / scale}


@settings(max_examples=60, deadline=None)
@given(_BOUNDS, _BOUNDS, _BOUNDS, st.lists(st.fractions(0, 1), min_size=3, max_size=3))
def test_wherever_assumptions_are_within_their_bounds_the_sum_is_within_its_own(
    completion: list[int], cached: list[int], price: list[int], where: list[Fraction]
) -> None:
    parts = [bounded(one, scale) for one, scale in ((completion, 50), (cached, 50), (price, 10))]

    def at(points: list[dict[str, float]] | list[float]) -> MixFile:
        prices = {**SIMPLE["prices"], "small": {"prompt": points[2], "completion": 0.28}}
        shape = {"completion": points[0], "cached": points[1]}
        return mix(tokens=None, bill_usd=100, shape=shape, prices=prices)

    whole = reckoned(at(parts))
    within = [
        float(one["low"] + (one["high"] - one["low"]) * float(part)) for one, part in zip(parts, where, strict=True)
    ]
    inside = reckoned(at(within)).after_pico

    assert inside is not None
    if whole.span is not None:
        assert whole.span.low_pico - 2 <= inside <= whole.span.high_pico + 2
        assert whole.after_pico is not None
        assert whole.span.low_pico <= whole.after_pico <= whole.span.high_pico
    for sway in whole.sways:
        assert whole.span is not None
        assert whole.span.low_pico <= min(sway.low_pico, sway.high_pico)


def test_of_too_many_bounds_there_is_no_range_and_that_is_said() -> None:
    prices = {f"m{number}": {"prompt": bounded([1, 2, 3], 1), "completion": 1} for number in range(13)}
    found = reckoned(mix(prices={**SIMPLE["prices"], **prices}))

    assert found.span is None
    assert len(found.sways) == 13
    assert found.notes == ("13 numbers have bounds: of more than 12 at once no range is reckoned",)


# --- the case ---------------------------------------------------------------------------------------------------------


def the_case(**changes: Any) -> MixFile:
    text = (files("fleet.practice.whatif") / "cases" / "six-people.yml").read_text()
    found = msgspec.convert({**yaml.safe_load(text), **changes}, MixFile)
    check(found)
    return found


@pytest.fixture(name="found", scope="module")
def _found() -> WhatIf:
    return reckoned(the_case())


def test_the_case_comes_out_and_is_within_its_assumptions(found: WhatIf) -> None:
    assert found.before_pico == 3200 * USD
    assert found.after_pico is not None
    assert found.after_pico / USD == pytest.approx(1940, abs=1)
    assert found.change == pytest.approx(-0.39, abs=0.005)
    assert found.span is not None
    assert found.span.low_pico < found.after_pico < found.span.high_pico
    (claim,) = found.claims
    assert found.span.low_pico < claim.pico < found.span.high_pico


def test_everything_that_the_case_assumes_is_listed_with_whose_it_is(found: WhatIf) -> None:
    case = the_case()
    listed = "\n".join(found.assumptions)

    for name, price in case.prices.items():
        assert price.said_by
        assert f"price of {name}: {price.said_by}" in listed
        for number in (price.prompt, price.completion):
            assert not isinstance(number, Assumed) or number.why.startswith(("ours", "the source"))
    for part in (*case.before.parts, *case.after.parts):
        assert part.why.startswith("the source")
        assert part.why in listed
    assert "chosen so that 1,940 comes out" in listed
    assert "nobody counted them" in listed
    assert any("how many tokens" in one for one in case.not_stated)
    assert any("18 %" in one and "10 %" in one for one in case.notes)


def test_the_shares_alone_make_what_the_note_says_and_not_what_the_source_says() -> None:
    case = the_case()
    parts = [msgspec.structs.replace(part, shape=None) for part in case.after.parts]
    plain = reckoned(msgspec.structs.replace(case, after=msgspec.structs.replace(case.after, parts=parts, monthly=[])))

    assert plain.after_pico is not None
    assert round(plain.after_pico / USD) == 827
    assert any("make 827" in one for one in case.notes)
