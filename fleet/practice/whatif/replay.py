"""A ledger's usage, as if some of it had gone elsewhere or at another price. Pure.

What is not moved stays as it was billed; what is moved is reckoned by the price of where it goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from fleet.practice.usage import Usage
from fleet.practice.whatif.outcome import Row, WhatIf
from fleet.practice.whatif.prices import OWN, ModelPrice, NoPrice, exact, pico_of, plain
from fleet.vocabulary.contracts.usage import UsageBy, UsageLine
from fleet.vocabulary.money import shown

BY = (UsageBy.ASKED, UsageBy.MODEL, UsageBy.TIER)
"""What a usage must be added up by to be replayed."""
ELSEWHERE = "(corrections and what went nowhere)"
_METHOD = (
    "the same tokens do the same work at every model; tokenizers differ, so a token of one is not one of another",
    "what was retried, failed or was cancelled does so again, and costs as many tokens",
    "nobody looked whether the model elsewhere is good enough, has room for the prompts, or may see them",
    "no cap stops anything: a gray pool's share and a month's budget are not reckoned with",
)


@dataclass(frozen=True, kw_only=True)
class Move:
    """So much (`part` of it) of what was asked for at a route, or was served by a model, goes to the model `to`."""

    of: str
    to: str
    part: Fraction = Fraction(1)
    is_route: bool = False

    def __str__(self) -> str:
        much = "" if self.part == 1 else f"{plain(self.part * 100)} % of "
        return f"{much}{'route ' if self.is_route else ''}{self.of} to {self.to}"

    def takes(self, asked: str, model: str) -> bool:
        """Whether it is about this usage."""
        return self.of == (asked if self.is_route else model)


def move_of(text: str) -> Move:
    """`opus=flash`, `route:code=flash`, `opus=flash:0.62`. Raises NoPrice for what is none."""
    of, _, to = text.partition("=")
    model, colon, part = to.rpartition(":")
    try:
        share = exact(part) if colon else Fraction(1)
    except NoPrice:
        model, share = to, Fraction(1)  # a name with a colon, `owl:free`
    target = model if colon and model != to else to
    if not of or not target or not 0 < share <= 1:
        raise NoPrice(f"{text!r} moves nothing")
    return Move(of=of.removeprefix("route:"), to=target, part=share, is_route=of.startswith("route:"))


@dataclass
class _Sum:
    requests: Fraction = Fraction(0)
    prompt: Fraction = Fraction(0)
    cached: Fraction = Fraction(0)
    completion: Fraction = Fraction(0)
    billed: Fraction = Fraction(0)
    """Pico-dollars that stay as they were."""
    reckoned: Fraction | None = Fraction(0)
    """USD by a price; None = there is no price."""

    def add(self, line: UsageLine, part: Fraction) -> None:
        self.requests += part * line.requests
        self.prompt += part * line.prompt_tokens
        self.cached += part * line.cached_tokens
        self.completion += part * line.completion_tokens

    def reckon(self, line: UsageLine, part: Fraction, price: ModelPrice | None) -> None:
        if price is None or self.reckoned is None:
            self.reckoned = None
            return
        self.reckoned += part * price.usd(
            prompt=Fraction(line.prompt_tokens),
            cached=Fraction(line.cached_tokens),
            completion=Fraction(line.completion_tokens),
            requests=Fraction(line.requests),
        )

    def row(self, name: str) -> Row:
        pico = None if self.reckoned is None else round(self.billed) + pico_of(self.reckoned)
        return Row(name=name, pico=pico, tokens=round(self.prompt + self.completion), requests=round(self.requests))


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """What is to be different. `prices`: all that are known; `repriced`: models whose price is another from now on.

    `own`: models of own Macs, which cost nothing by the token.
    """

    moves: Sequence[Move] = ()
    prices: Mapping[str, ModelPrice] = field(default_factory=dict)
    repriced: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()

    def price(self, model: str) -> ModelPrice | None:
        """What a token costs there; None = nobody says."""
        return self.prices.get(model, OWN if model in self.own else None)


def replayed(usage: Usage, elsewhere: Elsewhere, *, title: str) -> WhatIf:
    """Before as billed, after as moved. `usage` is by BY. Raises NoPrice when the moves of a line are more than all."""
    before: dict[str, _Sum] = {}
    after: dict[str, _Sum] = {}
    unknown: dict[str, None] = {}
    for line in usage.lines:
        asked, model, _ = line.names
        name = model or ELSEWHERE
        billed = before.setdefault(name, _Sum())
        billed.add(line, Fraction(1))
        billed.billed += line.spent_pico + line.reserved_pico
        moves = [move for move in elsewhere.moves if move.takes(asked, model) and move.to != model]
        kept = 1 - sum((move.part for move in moves), Fraction())
        if kept < 0:
            raise NoPrice(f"more than all of {model} is moved: {'; '.join(map(str, moves))}")
        if kept:
            _keep(after.setdefault(name, _Sum()), line, kept, elsewhere)
        for move in moves:
            price = elsewhere.price(move.to)
            if price is None:
                unknown[move.to] = None
            there = after.setdefault(move.to, _Sum())
            there.add(line, move.part)
            there.reckon(line, move.part, price)
    return WhatIf(
        title=title,
        before=_rows(before),
        after=_rows(after),
        assumptions=(*_assumptions(usage, elsewhere, after), *_METHOD),
        unknown=tuple(unknown),
        notes=tuple(_notes(usage, elsewhere)),
    )


def _keep(there: _Sum, line: UsageLine, part: Fraction, elsewhere: Elsewhere) -> None:
    there.add(line, part)
    if line.names[1] in elsewhere.repriced:
        there.reckon(line, part, elsewhere.price(line.names[1]))
    else:
        there.billed += part * (line.spent_pico + line.reserved_pico)


def _rows(sums: Mapping[str, _Sum]) -> tuple[Row, ...]:
    rows = [one.row(name) for name, one in sums.items()]
    return tuple(sorted(rows, key=lambda row: (-(row.pico or 0), -(row.tokens or 0), row.name)))


def _assumptions(usage: Usage, elsewhere: Elsewhere, after: Iterable[str]) -> Iterable[str]:
    yield from (f"moved: {move}" for move in elsewhere.moves)
    used = {move.to for move in elsewhere.moves} | set(elsewhere.repriced)
    for model in after:
        price = elsewhere.price(model)
        if model in used and price is OWN:
            yield f"{model}: 0 USD a token, on own Macs; what these cost a month stays as it is, if they have the room"
        elif model in used and price is not None:
            yield f"{model}: {price} USD per million tokens ({price.said_by})"
            if price.cached is not None:
                yield f"{model}: its provider has as many tokens of a prompt cached as the one before"
    total = usage.total
    if total.reserved_pico:
        yield f"{shown(total.reserved_pico)} USD that are held and not settled count as spent"
    if total.untold:
        yield f"{total.untold:,} good answers did not say their tokens: moved, they cost nothing here"


def _notes(usage: Usage, elsewhere: Elsewhere) -> Iterable[str]:
    """How far prices and bills agree, where there is a price for all that was billed; and who is missing."""
    lines = [line for line in usage.lines if line.spent_pico or line.reserved_pico]
    priced = [(line, elsewhere.price(line.names[1])) for line in lines if line.names[1] not in elsewhere.repriced]
    if priced and all(price is not None and price is not OWN for _, price in priced):
        found = _Sum()
        for line, price in priced:
            found.reckon(line, Fraction(1), price)
        billed = sum(line.spent_pico + line.reserved_pico for line, _ in priced)
        reckoned = shown(found.row("").pico or 0)
        yield (
            f"by these prices what was billed as {shown(billed)} USD would be {reckoned}:"
            " so far off is this way of reckoning"
        )
    for name, why in usage.away.items():
        yield f"{name} did not answer, so what went through it is missing: {why}"
