"""Figures in words, for people: short in a tile, the same in Markdown and HTML. Pure."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from fleet.practice.weekly.figures import Better, Figure, Unit, Value, change, number
from fleet.practice.weekly.report import Tone

UNKNOWN = "–"
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u202a-\u202e\u2066-\u2069]")
_STEPS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))
_CHANGE_SAID = 0.005
_BUCKET = 0.045
"""Times come from buckets that are 4 % wide: one bucket more or less says nothing."""
_NEWS = 0.05
_MUCH = 10
_COUNTS = (Unit.REQUESTS, Unit.CALLS, Unit.COUNT)
_FEW = 20
"""Fewer go up and down by chance."""


def shown(value: Value, unit: Unit) -> str:
    """`1,940.00`, `3.4M`, `12.5 %`, `0.84 s`; a dash for what nobody knows."""
    if value is None:
        return UNKNOWN
    if unit is Unit.WORD or (isinstance(value, str) and unit not in (Unit.USD, Unit.USD_PER_MILLION)):
        return str(value)
    match unit:
        case Unit.USD | Unit.USD_PER_MILLION:
            return _money(str(value))
        case Unit.TOKENS:
            return short(float(value))
        case Unit.SECONDS:
            return _time(float(value))
        case Unit.RANK:
            return f"#{int(float(value))}"
        case Unit.RATIO:
            return percent(float(value))
    return f"{int(value):,}"


def visible(text: str) -> str:
    """What hides in a text or turns it around is shown as a sign for it."""
    return _UNSEEN.sub("�", text)


def of(figure: Figure) -> str:
    """Its value."""
    return shown(figure.value, figure.unit)


def short(count: float) -> str:
    """`842`, `3.43M`."""
    for step, letter in _STEPS:
        if abs(count) >= step:
            return f"{count / step:.3g}{letter}" if abs(count) < 1000 * step else f"{count / step:,.0f}{letter}"
    return f"{count:,.0f}"


def percent(share: float) -> str:
    """`12.5 %`; never `0.0 %` for what is not nothing."""
    hundred = share * 100
    if hundred and abs(hundred) < 0.1:
        return f"{hundred:.2g} %"
    return f"{hundred:.1f} %" if abs(hundred) < 99.95 and hundred else f"{hundred:.0f} %"


def about(share: float) -> str:
    """In a sentence: `16 %`."""
    return f"{share * 100:.0f} %"


def compared(figure: Figure) -> str:
    """`▲ 12 %` against the week before; "" where there is nothing to compare, `new` where there was nothing."""
    if figure.unit is Unit.RANK and figure.asked_before is not None:
        return _moved(figure)
    if figure.asked_before is None or figure.value is None or figure.unit is Unit.WORD:
        return ""
    risen = change(figure)
    if risen is None:
        return "new" if figure.before is not None and figure.value not in (0, "0", 0.0) else ""
    if abs(risen) < (_BUCKET if figure.unit is Unit.SECONDS else _CHANGE_SAID):
        return "= as before"
    if risen > _MUCH:
        return f"▲ {risen + 1:,.0f} times"
    return f"{'▲' if risen > 0 else '▼'} {about(abs(risen))}"


def _moved(figure: Figure) -> str:
    if figure.before is None:
        return "new"
    return "= as before" if figure.before == figure.value else f"was {figure.before}"


def tone_of(figure: Figure) -> Tone | None:
    """Whether a change is good or bad news; None when it is neither."""
    risen = change(figure)
    if risen is None or abs(risen) < _NEWS or figure.better is Better.NEITHER or figure.asked_before is None:
        return None
    if figure.unit in _COUNTS and max(number(figure.value) or 0.0, number(figure.before) or 0.0) < _FEW:
        return None
    return Tone.GOOD if (risen < 0) is (figure.better is Better.LESS) else Tone.BAD


def _money(text: str) -> str:
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return text
    if not exact:
        return "0"
    if abs(exact) >= Decimal("0.1"):
        return f"{exact:,.2f}"
    return f"{exact:.4f}" if abs(exact) >= Decimal("0.0001") else f"{exact:.1e}"


def _time(seconds: float) -> str:
    if 0 < seconds < 0.1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:,.0f} s" if seconds >= 100 else f"{seconds:.3g} s"
