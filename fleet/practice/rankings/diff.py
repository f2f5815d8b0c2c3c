"""What a week changes: moves above 30 %, entrants and drop-outs of the top ten, and what the model list says. Pure.

Compared are models with themselves. What is not there makes no finding: an entrant needs a week before that told all
of its first ten, a drop-out a week that does. Tokens of different tokenizers are nowhere compared as equal work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from fleet.practice.rankings.amounts import shown_percent
from fleet.practice.rankings.finding import Finding, Kind, PricePair, WowFrom
from fleet.practice.rankings.listed import Lists, listed_findings
from fleet.practice.rankings.ours import Ours
from fleet.practice.rankings.pairing import Move, moves_of
from fleet.practice.rankings.ranking import Catalogue, Ranking
from fleet.practice.rankings.week import Week

THRESHOLD_PERCENT = 30
TOKENIZERS = "Tokens are counted by each model's own tokenizer: a model compares with itself only, not with others."


@dataclass(frozen=True, kw_only=True)
class RankingDiff:
    """A week against the one before. `before_week` None: that one is not archived, so nothing was computed.

    `moves` are this week's models in order of rank, then those that are gone. `notes` say what could not be compared.
    """

    week: Week
    before_week: Week | None
    as_of: str
    attribution: str
    moves: tuple[Move, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def watched(self) -> tuple[Move, ...]:
        """Either week's top ten, and our routes' models."""
        return tuple(one for one in self.moves if one.in_top or one.was_in_top or one.ours)


def diff(
    before: Ranking | None,
    after: Ranking,
    *,
    ours: Ours,
    models_before: Catalogue | None = None,
    models: Catalogue | None = None,
    today: date,
) -> RankingDiff:
    """`before` must be the ranking of the week before `after`; anything else counts as none."""
    week = Week.named(after.week)
    if before is not None and before.week != str(week.previous):
        before = None
    moves = moves_of(before, after, ours)
    context = _Context(week=week, before=before, after=after, ours=ours, models=models)
    findings = [found for move in moves if (found := _ranked_finding(move, context)) is not None]
    lists = Lists(week=str(week), ours=ours, moves=moves, before=models_before, now=models, today=today)
    return RankingDiff(
        week=week,
        before_week=None if before is None else week.previous,
        as_of=after.as_of,
        attribution=after.attribution,
        moves=moves,
        findings=(*findings, *listed_findings(lists)),
        notes=tuple(_notes(context, moves, lists)),
    )


@dataclass(frozen=True, kw_only=True)
class _Context:
    week: Week
    before: Ranking | None
    after: Ranking
    ours: Ours
    models: Catalogue | None


def moved(percent: Fraction | Decimal | None) -> bool:
    """Whether a change is above the threshold: 30 % is not."""
    return percent is not None and abs(Fraction(percent)) > THRESHOLD_PERCENT


def _ranked_finding(move: Move, context: _Context) -> Finding | None:
    before = context.before
    if before is not None and move.in_top and not move.was_in_top and (move.before or before.covers_top):
        return _finding(Kind.ENTRANT, move, context)
    if before is not None and move.was_in_top and not move.in_top and (move.now or context.after.covers_top):
        return _finding(Kind.DROPOUT, move, context)
    if not (move.in_top or move.was_in_top or move.ours) or not moved(move.wow):
        return None
    return _finding(Kind.RISE if (move.wow or 0) > 0 else Kind.FALL, move, context)


def _finding(kind: Kind, move: Move, context: _Context) -> Finding:
    wow, printed = move.wow, move.printed
    listed = context.models.find(move.model.id) if context.models is not None and move.model.id else None
    return Finding(
        kind=kind,
        week=str(context.week),
        before_week="" if context.before is None else context.before.week,
        subject=move.subject(context.ours),
        rank=None if move.now is None else move.now.rank,
        rank_before=None if move.before is None else move.before.rank,
        tokens=None if move.now is None else move.now.tokens,
        tokens_before=None if move.before is None else move.before.tokens,
        wow_percent=None if wow is None else _decimal_text(wow),
        wow_from=move.wow_from,
        printed_percent=None if printed is None else f"{printed:f}",
        price=None if listed is None else PricePair(prompt=listed.prompt, completion=listed.completion),
        notes=tuple(_evidence_notes(kind, move, context)),
        attribution=context.after.attribution,
    )


def _evidence_notes(kind: Kind, move: Move, context: _Context) -> Iterator[str]:
    computed, printed = move.computed, move.printed
    if computed is not None and printed is not None and abs(computed - Fraction(printed)) >= 1:
        yield (
            f"The source prints {shown_percent(printed)}; computed from both weeks' tokens it is "
            f"{shown_percent(computed)}. The computed figure counts."
        )
    elif computed is not None and printed is not None:
        yield f"Computed from both weeks' tokens; the source prints {shown_percent(printed)}, which agrees."
    elif move.wow_from is WowFrom.PRINTED and kind in (Kind.RISE, Kind.FALL):
        yield f"Only printed by the source: {_why_not_computed(move, context)}."
    if kind is Kind.DROPOUT and move.now is None:
        yield f"It is in no rank of {context.week}, which tells the first {context.after.last_rank}."
    if kind is Kind.ENTRANT and move.before is None and context.before is not None:
        yield f"It is in no rank of {context.before.week}, which tells the first {context.before.last_rank}."
    if move.now is not None and move.before is not None and move.now.slug.lower() != move.before.slug.lower():
        yield (f"It was called {move.before.slug} the week before: a new version may count tokens differently.")


def _why_not_computed(move: Move, context: _Context) -> str:
    if context.before is None:
        return f"{context.week.previous} is not archived, so nothing could be computed"
    if move.before is None:
        return f"it is not in {context.before.week}"
    return "one of the two weeks has no tokens for it"


def _notes(context: _Context, moves: tuple[Move, ...], lists: Lists) -> Iterator[str]:
    previous = context.week.previous
    if context.before is None:
        yield f"{previous} is not archived: no entrants, no drop-outs, and only changes that the source prints."
    elif not context.before.covers_top:
        yield f"{previous} does not tell all of its top ten: who is new to it cannot be told."
    if not context.after.covers_top:
        yield f"{context.week} does not tell all of its top ten: who left it cannot be told."
    contrary = [one for one in moves if _says_otherwise(one)]
    for move in contrary:
        yield (
            f"{move.model.title}: printed {shown_percent(move.printed)}, computed {shown_percent(move.computed)}. "
            "The computed figure counts."
        )
    yield from lists.notes()


def _says_otherwise(move: Move) -> bool:
    """Whether it matters which of the two figures counts."""
    if move.computed is None or move.printed is None or not (move.in_top or move.was_in_top or move.ours):
        return False
    return moved(move.computed) != moved(move.printed)


def _decimal_text(percent: Fraction) -> str:
    """Two places: for reading. What was decided was decided exactly."""
    return f"{Decimal(round(percent * 100)) / 100:f}"
