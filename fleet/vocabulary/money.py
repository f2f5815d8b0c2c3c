"""Money as whole pico-dollars (1e-12 USD): the smallest prices per token stay exact. Pure.

An int64 holds 9.2 million USD. Nothing here is ever a float.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

PICO_PER_USD = 10**12
MOST_PICO = 2**63 - 1
"""What SQLite's integers hold."""


class NotMoney(ValueError):
    """A text that is no amount of USD; the message says why."""


def pico(usd: str | int | Decimal) -> int:
    """`"0.0000001"` USD in pico-dollars. Raises NotMoney for what is no number, too large, or finer than one."""
    try:
        exact = Decimal(usd) * PICO_PER_USD
        whole = exact.to_integral_value()
    except (ArithmeticError, ValueError):
        raise NotMoney(f"{usd!r} is not an amount of USD") from None
    if not exact.is_finite() or abs(exact) > MOST_PICO:
        raise NotMoney(f"{usd!r} USD is more than can be counted")
    if exact != whole:
        raise NotMoney(f"{usd} USD is finer than a pico-dollar")
    return int(whole)


def pico_up(usd: str | int | Decimal) -> int:
    """The same, where a part of a pico-dollar counts as a whole one: for bills and bounds. Raises NotMoney."""
    try:
        exact = Decimal(usd) * PICO_PER_USD
    except (ArithmeticError, ValueError):
        raise NotMoney(f"{usd!r} is not an amount of USD") from None
    if not exact.is_finite() or abs(exact) > MOST_PICO:
        raise NotMoney(f"{usd!r} USD is more than can be counted")
    return int(exact.to_integral_value(rounding=ROUND_CEILING))


def usd(pico_usd: int) -> Decimal:
    """Pico-dollars in USD, without a rounding."""
    return (Decimal(pico_usd) / PICO_PER_USD).normalize() if pico_usd else Decimal(0)


def shown(pico_usd: int) -> str:
    """For people: cents, and two more places where less than a dollar is told. `1940.00`, `0.0042`."""
    places = 2 if abs(pico_usd) >= PICO_PER_USD or not pico_usd else 4
    return f"{Decimal(pico_usd) / PICO_PER_USD:.{places}f}"
