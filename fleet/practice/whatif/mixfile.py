"""A mix as a person states it in a file: what runs where, at which prices, and why that is believed.

Wherever a number stands, its bounds and its reason may stand as well: `{value: 0.12, low: 0.10, high: 0.14, why: ...}`.
Prices are USD per million tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import msgspec

from fleet.practice.whatif.prices import NoPrice, exact


class Assumed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number that is believed: what it may be at least and at most, and why."""

    value: float
    low: float
    high: float
    why: str = ""


Number = float | Assumed


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What tokens are: `completion` is the part of all of them that is answers, `cached` that of prompts which the
    provider had cached.
    """

    completion: Number
    cached: Number = 0.0


class PriceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model's price. `cached` absent = a cached token costs as any."""

    prompt: Number
    completion: Number
    cached: Number | None = None
    said_by: str = ""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What share of the tokens goes to a model; their own shape, where it is another. `why`: who says so."""

    model: str
    share: float
    shape: Shape | None = None
    why: str = ""


class Monthly(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is paid whether anything runs or not, USD."""

    name: str
    usd: Number


class Side(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Before, or after."""

    parts: list[Part]
    monthly: list[Monthly] = []


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody says of it."""

    by: str = ""
    before_usd: float | None = None
    after_usd: float | None = None


class MixFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file. Either `tokens` or `bill_usd` is stated: of a bill, the tokens are those that it buys before."""

    title: str
    shape: Shape
    prices: dict[str, PriceEntry]
    before: Side
    after: Side
    tokens: int | None = None
    bill_usd: float | None = None
    said: Said = Said()
    assumptions: list[str] = []
    not_stated: list[str] = []
    notes: list[str] = []


class BadMix(ValueError):
    """A file that fits its types and makes no sense; `path` is where, the message says why."""

    def __init__(self, message: str, *path: object) -> None:
        super().__init__(message)
        self.path = path


def check(mix: MixFile) -> None:
    """Raises BadMix."""
    if (mix.tokens is None) is (mix.bill_usd is None):
        raise BadMix("state either `tokens` or `bill_usd`")
    _check_plain(mix)
    fixed = sum(one.usd.value if isinstance(one.usd, Assumed) else one.usd for one in mix.before.monthly)
    if mix.bill_usd is not None and fixed >= mix.bill_usd:
        raise BadMix("what is paid every month before is the whole bill: no token was bought", "before", "monthly")
    for name, side in (("before", mix.before), ("after", mix.after)):
        whole = sum((exact(part.share) for part in side.parts), Fraction())
        if whole != 1:
            raise BadMix(f"the shares add up to {float(whole):g}, not to 1", name, "parts")
    for label, number in numbers(mix):
        parts = (number.low, number.value, number.high) if isinstance(number, Assumed) else (number,)
        try:
            highest = max(map(exact, parts))
        except NoPrice as error:
            raise BadMix(f"{label}: {error}") from None
        if list(parts) != sorted(parts):
            raise BadMix(f"{label}: its value is not between `low` and `high`")
        if label.startswith(("answers", "cached")) and highest > 1:
            raise BadMix(f"{label}: a part of a whole is at most 1")


def _check_plain(mix: MixFile) -> None:
    """The numbers that have no bounds. Raises BadMix."""
    stated: list[tuple[float | None, tuple[object, ...]]] = [
        (mix.tokens, ("tokens",)),
        (mix.bill_usd, ("bill_usd",)),
        (mix.said.before_usd, ("said", "before_usd")),
        (mix.said.after_usd, ("said", "after_usd")),
    ]
    for name, side in (("before", mix.before), ("after", mix.after)):
        stated += [(part.share, (name, "parts", at, "share")) for at, part in enumerate(side.parts)]
    for number, path in stated:
        try:
            found = None if number is None else exact(number)
        except NoPrice as error:
            raise BadMix(str(error), *path) from None
        if found == 0 and len(path) == 1:
            raise BadMix(f"`{path[0]}` is 0: there is nothing to reckon", *path)


def numbers(mix: MixFile) -> Iterator[tuple[str, Number]]:
    """Every number that may have bounds, and what it is."""
    yield from _of_shape(mix.shape, "")
    for model, price in mix.prices.items():
        yield f"price of {model}, in", price.prompt
        if price.cached is not None:
            yield f"price of {model}, cached", price.cached
        yield f"price of {model}, out", price.completion
    for word, side in (("before", mix.before), ("after", mix.after)):
        for part in side.parts:
            if part.shape is not None:
                yield from _of_shape(part.shape, f" at {part.model} {word}")
        for one in side.monthly:
            yield f"{one.name}, a month {word}", one.usd


def _of_shape(shape: Shape, where: str) -> Iterator[tuple[str, Number]]:
    yield f"answers, part of all tokens{where}", shape.completion
    yield f"cached, part of prompts{where}", shape.cached
