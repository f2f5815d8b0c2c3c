"""How findings read: a headline, a line, the evidence. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from fleet.practice.rankings.amounts import shown_percent, shown_tokens
from fleet.practice.rankings.finding import Finding, Kind, PricePair, WowFrom

_MILLION = Decimal(1_000_000)


def headline(finding: Finding) -> str:
    """`DeepSeek-V4-Flash: +66 % in 2026-W21`."""
    title, week = finding.subject.title, finding.week
    match finding.kind:
        case Kind.ENTRANT:
            return f"{title} is new in the top ten of {week}"
        case Kind.DROPOUT:
            return f"{title} left the top ten in {week}"
        case Kind.RISE | Kind.FALL:
            return f"{title}: {wow(finding)} in {week}"
        case Kind.VANISHED:
            return f"{title} is no longer offered"
        case Kind.EXPIRING:
            return f"{title} is offered until {finding.expires_on}"
        case Kind.PRICE:
            return f"{title} has another price"


def short(finding: Finding) -> str:
    """What happened, without the name: `+66 %, computed`, `was 6th`."""
    match finding.kind:
        case Kind.ENTRANT:
            before = f"was {ordinal(finding.rank_before)}" if finding.rank_before else "in no rank before"
            return ", ".join(part for part in (f"{ordinal(finding.rank)}, {before}", wow(finding)) if part)
        case Kind.DROPOUT:
            now = f"now {ordinal(finding.rank)}" if finding.rank else "in no rank now"
            return ", ".join(part for part in (f"was {ordinal(finding.rank_before)}, {now}", wow(finding)) if part)
        case Kind.RISE | Kind.FALL:
            return f"{wow(finding)}, {finding.wow_from.value}"
        case Kind.VANISHED:
            return "not in the list of models"
        case Kind.EXPIRING:
            return f"offered until {finding.expires_on}"
        case Kind.PRICE:
            return f"{price(finding.price_before)} → {price(finding.price)} USD per million, in/out"


def wow(finding: Finding) -> str:
    """`+66 %`; "" when it is not known."""
    return "" if finding.wow_percent is None else shown_percent(Decimal(finding.wow_percent))


def price(pair: PricePair | None) -> str:
    """`0.14/0.28`, USD per million tokens in and out."""
    if pair is None or pair.prompt is None or pair.completion is None:
        return "?"
    return f"{_per_million(pair.prompt)}/{_per_million(pair.completion)}"


def ordinal(rank: int | None) -> str:
    """`6th`."""
    if rank is None:
        return "no rank"
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"


def evidence_head(kind: Kind) -> tuple[str, ...]:
    """The columns of a ticket's evidence."""
    match kind:
        case Kind.VANISHED | Kind.EXPIRING:
            return ("week", "what", "said by")
        case Kind.PRICE:
            return ("week", "in/out before", "in/out now", "said by")
        case _:
            return ("week", "rank", "rank before", "tokens", "tokens before", "change", "known by")


def evidence_row(finding: Finding) -> tuple[str, ...]:
    """One week's cells below `evidence_head`."""
    match finding.kind:
        case Kind.VANISHED | Kind.EXPIRING:
            return (finding.week, short(finding), finding.said_by)
        case Kind.PRICE:
            return (finding.week, price(finding.price_before), price(finding.price), finding.said_by)
        case _:
            known = {WowFrom.COMPUTED: "both weeks' tokens", WowFrom.PRINTED: "print only"}.get(finding.wow_from, "")
            return (
                finding.week,
                str(finding.rank or "-"),
                str(finding.rank_before or "-"),
                shown_tokens(finding.tokens) or "-",
                shown_tokens(finding.tokens_before) or "-",
                wow(finding) or "-",
                known or "-",
            )


def ours_sentence(finding: Finding) -> str:
    """Where our routes name it."""
    subject = finding.subject
    if not subject.served:
        return "No route of ours names it."
    names = ", ".join(f"`{name}`" for name in subject.served)
    if not subject.routes:
        return f"We offer it as {names}; no route names it."
    routes = ", ".join(f"`{route}`" for route in subject.routes)
    return f"We offer it as {names}, in {'route' if len(subject.routes) == 1 else 'routes'} {routes}."


def cautions(finding: Finding) -> Iterator[str]:
    """What to know before acting on it."""
    if finding.kind in (Kind.ENTRANT, Kind.DROPOUT, Kind.RISE, Kind.FALL):
        yield "One large account can move a model's week: look at who moves it before you act."
        yield "Tokens are counted by each model's own tokenizer: a model compares with itself only, not with others."


def _per_million(usd_per_token: str) -> str:
    exact = Decimal(usd_per_token) * _MILLION
    return f"{exact.normalize():f}" if exact else "0"
