"""Decimal text as an exact fraction: shares, factors and parts of caps. Nothing here is ever a float. Pure."""

from __future__ import annotations

import re
from fractions import Fraction

MOST_PLACES = 12
"""How many digits may follow the point."""
_LONGEST = 32
_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")


class NotExact(ValueError):
    """What is no exact decimal number; the message says why."""


def exact(text: str, *, most: int | None = None) -> Fraction:
    """`"0.10"` as 1/10. Digits and at most one point, at most 12 digits after it; `most` bounds it from above.

    Raises NotExact: also for a float, which is never what was written.
    """
    if not isinstance(text, str):
        raise NotExact(f'{text!r} is not text: write it in quotes, as "0.10"')
    if len(text) > _LONGEST or _DECIMAL.fullmatch(text) is None:
        raise NotExact(f'"{text[:_LONGEST]}" is not a decimal number such as "0.10"')
    if len(text.partition(".")[2]) > MOST_PLACES:
        raise NotExact(f'"{text}" has more than {MOST_PLACES} digits after the point')
    value = Fraction(text)
    if most is not None and value > most:
        raise NotExact(f'"{text}" is more than {most}')
    return value
