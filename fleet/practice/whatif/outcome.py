"""Before and after, and all that they rest on. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from fleet.vocabulary.money import usd


@dataclass(frozen=True, kw_only=True)
class Row:
    """What goes to one model, or what is paid whether anything runs or not. None = unknown, never 0."""

    name: str
    pico: int | None
    tokens: int | None = None
    requests: int | None = None
    share: Fraction | None = None


@dataclass(frozen=True, kw_only=True)
class Span:
    """What a sum may be when assumptions vary within their bounds, pico-dollars."""

    low_pico: int
    high_pico: int


@dataclass(frozen=True, kw_only=True)
class Sway:
    """How much one assumption alone moves the sum after: at its low and at its high bound, pico-dollars."""

    name: str
    low: str
    high: str
    low_pico: int
    high_pico: int


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What somebody says that a sum is. It is compared with, and reckoned with nowhere."""

    name: str
    pico: int
    said_by: str


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """The whole answer. `unknown`: what has no price, so that a sum is not known. `notes`: what contradicts itself."""

    title: str
    before: tuple[Row, ...]
    after: tuple[Row, ...]
    assumptions: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    not_stated: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    span: Span | None = None
    sways: tuple[Sway, ...] = ()

    @property
    def before_pico(self) -> int | None:
        """The sum; None = a part of it is not known."""
        return summed(self.before)

    @property
    def after_pico(self) -> int | None:
        """The sum; None = a part of it is not known."""
        return summed(self.after)

    @property
    def change(self) -> float | None:
        """-0.39 = 39 % less; None where a sum is not known, or there was nothing before."""
        before, after = self.before_pico, self.after_pico
        return None if not before or after is None else (after - before) / before


def summed(rows: Iterable[Row]) -> int | None:
    """The money of all rows; None = a part of it is not known."""
    amounts = [row.pico for row in rows]
    return None if None in amounts else sum(amount for amount in amounts if amount is not None)


def as_builtins(found: WhatIf) -> dict[str, object]:
    """For JSON: amounts are exact decimal text in USD."""
    return {
        "title": found.title,
        "before": [_row(row) for row in found.before],
        "before_usd": _usd(found.before_pico),
        "after": [_row(row) for row in found.after],
        "after_usd": _usd(found.after_pico),
        "change": found.change,
        "range_usd": None if found.span is None else [_usd(found.span.low_pico), _usd(found.span.high_pico)],
        "sways": [_sway(one) for one in found.sways],
        "claims": [{"name": one.name, "usd": _usd(one.pico), "said_by": one.said_by} for one in found.claims],
        "assumptions": list(found.assumptions),
        "not_stated": list(found.not_stated),
        "notes": list(found.notes),
        "unknown_prices": list(found.unknown),
    }


def _row(row: Row) -> dict[str, object]:
    return {
        "name": row.name,
        "share": None if row.share is None else float(row.share),
        "requests": row.requests,
        "tokens": row.tokens,
        "usd": _usd(row.pico),
    }


def _sway(one: Sway) -> dict[str, object]:
    at_bounds = {"after_usd_at_low": _usd(one.low_pico), "after_usd_at_high": _usd(one.high_pico)}
    return {"name": one.name, "low": one.low, "high": one.high, **at_bounds}


def _usd(pico: int | None) -> str | None:
    return None if pico is None else f"{usd(pico):f}"
