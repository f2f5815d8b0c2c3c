"""Money as whole pico-dollars (1e-12 USD): the smallest prices per token stay exact. Pure."""

from __future__ import annotations

from decimal import Decimal

PICO_PER_USD = 10**12
TOKENS_PER_PRICE = 10**6
"""`max_price` is said per million tokens, prices per token."""


def pico(usd: str | Decimal) -> int:
    """`"0.0000001"` USD in pico-dollars. Raises ValueError for what is finer than one."""
    exact = Decimal(usd) * PICO_PER_USD
    if exact != exact.to_integral_value():
        raise ValueError(f"{usd} USD is finer than a pico-dollar")
    return int(exact)


def usd(pico_usd: int) -> Decimal:
    """The same in USD, without a rounding."""
    return (Decimal(pico_usd) / PICO_PER_USD).normalize() if pico_usd else Decimal(0)
