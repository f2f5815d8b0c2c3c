"""Decimal text as an exact fraction: shares, factors and parts of caps. Nothing here is ever a float. Pure."""

from __future__ import annotations

import re
from fractions import Fraction

MOST_DIGITS = 12
_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")


class NotExact(ValueError):
    """What is no exact decimal number; the message says why."""


def exact(text: str, *, most: int | None = None) -> Fraction:
    """`"0.10"` as 1/10. Digits and at most one point, at most 12 digits in all; `most` bounds it from above.

    Raises NotExact: also for a float, which is never what was written.
    """
    if not isinstance(text, str):
        raise NotExact(f'{text!r} is not text: write it in quotes, as "0.10"')
    if len(text) > MOST_DIGITS + 1 or sum(character.isdigit() for character in text) > MOST_DIGITS:
        raise NotExact(f'"{text[:40]}" has more than {MOST_DIGITS} digits')
    if _DECIMAL.fullmatch(text) is None:
        raise NotExact(f'"{text}" is not a decimal number such as "0.10"')
    value = Fraction(text)
    if most is not None and value > most:
        raise NotExact(f'"{text}" is more than {most}')
    return value
