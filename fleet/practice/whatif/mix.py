"""A stated mix, reckoned: before, after, and what both are when what is assumed varies within its bounds. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction

from fleet.practice.whatif.mixfile import Assumed, BadMix, MixFile, Number, Part, Side, numbers
from fleet.practice.whatif.outcome import Claim, Row, Span, Sway, WhatIf
from fleet.practice.whatif.prices import ModelPrice, exact, pico_of, plain
from fleet.vocabulary.money import shown

MOST_BOUNDS = 12
"""All corners are reckoned: 2 to the power of this."""
_METHOD = (
    "the same tokens do the same work at every model; tokenizers differ, so a token of one is not one of another",
    "nothing is retried, nothing fails, and prices hold for the whole month",
)

Pick = Callable[[Number], Fraction]


def reckoned(mix: MixFile) -> WhatIf:
    """The answer to a checked file. Raises BadMix when its bill buys no tokens, or any number of them."""
    unknown = tuple(
        dict.fromkeys(part.model for side in (mix.before, mix.after) for part in side.parts if _unpriced(mix, part))
    )
    before, after = _sides(mix, _stated)
    bounded = [(label, one) for label, one in numbers(mix) if isinstance(one, Assumed) and one.low != one.high]
    few = len(bounded) <= MOST_BOUNDS
    more = (
        () if few else (f"{len(bounded)} numbers have bounds: of more than {MOST_BOUNDS} at once no range is reckoned",)
    )
    return WhatIf(
        title=mix.title,
        before=before,
        after=after,
        assumptions=(*_assumptions(mix), *mix.assumptions, *_METHOD),
        unknown=unknown,
        not_stated=tuple(mix.not_stated),
        notes=(*mix.notes, *more),
        claims=tuple(_claims(mix)),
        span=_span(mix, [one for _, one in bounded]) if few and bounded and not unknown else None,
        sways=() if unknown else tuple(_sways(mix, bounded)),
    )


def _stated(number: Number) -> Fraction:
    return exact(number.value if isinstance(number, Assumed) else number)


def _moved(at: dict[int, float]) -> Pick:
    """Numbers as stated, but for some of them."""

    def pick(number: Number) -> Fraction:
        return exact(at[id(number)]) if id(number) in at else _stated(number)

    return pick


def _unpriced(mix: MixFile, part: Part) -> bool:
    return part.model not in mix.prices


def _sides(mix: MixFile, pick: Pick) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    tokens = _tokens(mix, pick)
    return _rows(mix, mix.before, tokens, pick), _rows(mix, mix.after, tokens, pick)


def _tokens(mix: MixFile, pick: Pick) -> Fraction | None:
    """Of the month; None = a bill at a price that nobody knows."""
    if mix.bill_usd is None:
        return Fraction(mix.tokens or 0)
    rates = [_per_token(mix, part, pick) for part in mix.before.parts]
    if None in rates:
        return None
    rate = sum(
        (one * exact(part.share) for one, part in zip(rates, mix.before.parts, strict=True) if one is not None),
        Fraction(),
    )
    fixed = sum((pick(one.usd) for one in mix.before.monthly), Fraction())
    left = exact(mix.bill_usd) - fixed
    if left <= 0 or not rate:
        why = "what is paid every month is the whole bill" if left <= 0 else "its tokens cost nothing"
        raise BadMix(f"no number of tokens follows from the bill: before, or at a bound of it, {why}", "before")
    return left / rate


def _per_token(mix: MixFile, part: Part, pick: Pick) -> Fraction | None:
    """USD."""
    if _unpriced(mix, part):
        return None
    entry, shape = mix.prices[part.model], part.shape or mix.shape
    price = ModelPrice(
        prompt=pick(entry.prompt),
        completion=pick(entry.completion),
        cached=None if entry.cached is None else pick(entry.cached),
    )
    completion = pick(shape.completion)
    prompt = 1 - completion
    return price.usd(prompt=prompt, cached=prompt * pick(shape.cached), completion=completion, requests=Fraction(0))


def _rows(mix: MixFile, side: Side, tokens: Fraction | None, pick: Pick) -> tuple[Row, ...]:
    rows = []
    for part in side.parts:
        share, rate = exact(part.share), _per_token(mix, part, pick)
        rows.append(
            Row(
                name=part.model,
                share=share,
                tokens=None if tokens is None else round(tokens * share),
                pico=None if tokens is None or rate is None else pico_of(tokens * share * rate),
            )
        )
    return (*rows, *(Row(name=one.name, pico=pico_of(pick(one.usd))) for one in side.monthly))


def _after_pico(mix: MixFile, pick: Pick) -> int:
    return sum(row.pico or 0 for row in _sides(mix, pick)[1])


def _span(mix: MixFile, bounded: list[Assumed]) -> Span:
    """Over all corners: in each number alone the sum is a quotient of lines, so nothing between them is beyond them."""
    sums = [
        _after_pico(mix, _moved({id(one): value for one, value in zip(bounded, corner, strict=True)}))
        for corner in itertools.product(*((one.low, one.high) for one in bounded))
    ]
    return Span(low_pico=min(sums), high_pico=max(sums))


def _sways(mix: MixFile, bounded: list[tuple[str, Assumed]]) -> Iterator[Sway]:
    for label, one in bounded:
        low, high = (_after_pico(mix, _moved({id(one): value})) for value in (one.low, one.high))
        yield Sway(name=label, low=_text(one.low), high=_text(one.high), low_pico=low, high_pico=high)


def _claims(mix: MixFile) -> Iterator[Claim]:
    for name, usd in (("before", mix.said.before_usd), ("after", mix.said.after_usd)):
        if usd is not None:
            yield Claim(name=name, pico=pico_of(exact(usd)), said_by=mix.said.by)


def _assumptions(mix: MixFile) -> Iterator[str]:
    tokens = _tokens(mix, _stated)
    if mix.bill_usd is None:
        yield f"{mix.tokens:,} tokens a month"
    elif tokens is not None:
        bill = shown(pico_of(exact(mix.bill_usd)))
        yield f"{round(tokens):,} tokens a month: what {bill} USD buy before; nobody counted them"
    for word, side in (("before", mix.before), ("after", mix.after)):
        for part in side.parts:
            why = f": {part.why}" if part.why else ""
            yield f"{word}: {plain(exact(part.share) * 100)} % of the tokens to {part.model}{why}"
    for model, price in mix.prices.items():
        if price.said_by:
            yield f"price of {model}: {price.said_by}"
    for label, number in numbers(mix):
        if isinstance(number, Assumed):
            why = f": {number.why}" if number.why else ""
            yield f"{label}: {_text(number.value)} ({_text(number.low)} to {_text(number.high)}){why}"
        else:
            yield f"{label}: {_text(number)}"


def _text(number: float) -> str:
    return plain(exact(number))
