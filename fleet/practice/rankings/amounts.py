"""Token counts and changes as people print them: `3.43T`, `806B`, `+66%`. Exact, and total. Pure."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "bn": 10**9, "g": 10**9, "t": 10**12, "q": 10**15}
_THOUSANDS = r"[0-9]{1,3}(?P<mark>[_,' ])[0-9]{3}(?:(?P=mark)[0-9]{3})*"
_TOKENS = re.compile(
    rf"(?P<digits>(?:{_THOUSANDS}|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)\s*(?P<unit>[a-z]{{0,2}})\s*(?:tokens?)?", re.IGNORECASE
)
"""A mark stands between thousands or nowhere: `3,43T` is somebody's 3.43T, and must not become 343T."""
_PERCENT = re.compile(r"([+\-\u2212\u2013]?)\s*([0-9]+(?:\.[0-9]+)?)\s*%?")
_NOTHING = frozenset(("", "-", "\u2013", "\u2014", "n/a", "na", "none", "null", "?"))
_MOST = 10**24
_SHOWN_UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))


class NotAnAmount(ValueError):
    """A cell that is neither empty nor an amount."""


def tokens_in(text: str) -> int | None:
    """`3.43T` in tokens; None for an empty cell. Raises NotAnAmount for what is neither."""
    plain = text.strip().strip("~*`").strip()
    if plain.lower() in _NOTHING:
        return None
    found = _TOKENS.fullmatch(plain)
    factor = _UNITS.get(found["unit"].lower()) if found else None
    if found is None or factor is None:
        comma = ": write its decimals after a point" if re.search(r"[0-9],[0-9]", plain) else ""
        raise NotAnAmount(f"{text.strip()!r} is no count of tokens{comma}")
    exact = _decimal(re.sub(r"[_,' ]", "", found["digits"]), text) * factor
    if exact > _MOST or exact != exact.to_integral_value():
        raise NotAnAmount(f"{text.strip()!r} is no count of tokens")
    return int(exact)


def percent_in(text: str) -> Decimal | None:
    """`+66%` as 66; None for an empty cell. Raises NotAnAmount for what is neither."""
    plain = text.strip().strip("~*`").strip()
    if plain.lower() in _NOTHING:
        return None
    found = _PERCENT.fullmatch(plain)
    if found is None or len(found[2]) > 12:
        comma = ": write its decimals after a point" if re.search(r"[0-9],[0-9]", plain) else ""
        raise NotAnAmount(f"{text.strip()!r} is no change in percent{comma}")
    exact = _decimal(found[2], text)
    return exact if found[1] in ("", "+") else -exact


def change(before: int, after: int) -> Fraction | None:
    """after/before - 1, exact; None from nothing."""
    return None if before <= 0 else Fraction(after, before) - 1


def shown_tokens(tokens: int | None) -> str:
    """`3.43T`, three digits; "" for what is unknown."""
    if tokens is None:
        return ""
    for size, unit in _SHOWN_UNITS:
        if tokens >= size:
            exact = Decimal(tokens) / size
            return f"{exact:.2f}{unit}" if exact < 100 else f"{exact:.0f}{unit}"
    return str(tokens)


def shown_percent(percent: Fraction | Decimal | None) -> str:
    """`+66 %`, with a tenth where a whole number would hide it; "" for what is unknown."""
    if percent is None:
        return ""
    exact = Fraction(percent)
    tenths = round(exact * 10)
    whole = tenths % 10 == 0 or (abs(exact) >= 100)
    text = f"{round(exact)}" if whole else f"{Decimal(tenths) / 10}"
    return f"{text if text.startswith('-') else '+' + text} %"


def _decimal(digits: str, text: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise NotAnAmount(f"{text.strip()!r} is no number") from None
