"""Money: exact, or refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.vocabulary.money import MOST_PICO, NotMoney, pico, pico_up, shown, usd


@given(st.integers(-MOST_PICO, MOST_PICO))
def test_what_goes_in_comes_out(amount: int) -> None:
    assert pico(usd(amount)) == amount == pico_up(usd(amount))
    assert pico(str(usd(amount))) == amount


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_an_amount_is_exact_or_refused(amount: Decimal) -> None:
    try:
        exact = pico(amount)
    except NotMoney:
        return
    assert Decimal(exact) == amount * 10**12


@pytest.mark.parametrize(
    "text", ["", "ten", "1e30", "NaN", "0.0000000000001", "-Infinity", "9300000000000", "1e999999"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(NotMoney):
        pico(text)


def test_a_bill_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(NotMoney):
        pico_up("1e999999")


def test_a_bill_is_never_rounded_down() -> None:
    assert pico_up("0.0000000000001") == 1
    assert pico_up("0.00014525") == 145_250_000


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.00"),
        (1940 * 10**12, "1940.00"),
        (4_200_000_000, "0.0042"),
        (-5 * 10**11, "-0.5000"),
        (10**45, f"1{'0' * 33}.00"),
    ],
)
def test_people_read_cents_and_small_sums_finer(amount: int, text: str) -> None:
    assert shown(amount) == text
