"""Whether one model should take another's place: promote, hold or demote, by paired statistics over prompts. Pure.

Both answered the same prompts, so every prompt is compared with itself. Answers and tool calls decide first, whatever
is saved: worse there is a demotion. Cost and P95 decide between equals; where one is better and another worse, a person
has to choose, and the verdict is to hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from fleet.practice.harness.difference import Difference, Side, cost, p95, shares
from fleet.practice.harness.measured import Measured, by_prompt, costs, seconds, tools, votes
from fleet.practice.harness.terms import Terms


class Word(StrEnum):
    """The advice: B takes A's place, stays beside it, gives way to it; or too little was measured."""

    PROMOTE = "promote"
    HOLD = "hold"
    DEMOTE = "demote"
    NO_VERDICT = "no_verdict"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The advice, why in sentences, and all it rests on. `a` and `b` name what was compared."""

    word: Word
    a: str
    b: str
    prompts: int
    reasons: tuple[str, ...]
    differences: tuple[Difference, ...]
    terms: Terms


def compare(a: Measured, b: Measured, *, terms: Terms | None = None) -> Verdict:
    """Whether `b` should take the place of `a`. The same two give the same verdict, always."""
    terms = terms or Terms()
    ours, theirs = by_prompt(a), by_prompt(b)
    common = sorted(name for name in ours if name in theirs and a.digests.get(name) == b.digests.get(name))
    verdict = partial(Verdict, a=a.name, b=b.name, prompts=len(common), terms=terms)
    if len(common) < terms.least_prompts:
        why = f"{len(common)} prompts were measured at both; a verdict needs {terms.least_prompts}"
        return verdict(word=Word.NO_VERDICT, reasons=(why,), differences=())
    pairs = [(ours[name], theirs[name]) for name in common]
    differences = (
        shares("answers", [(votes(x), votes(y)) for x, y in pairs], terms.least_prompts, terms),
        shares("tools", [(tools(x), tools(y)) for x, y in pairs], terms.least_calls, terms),
        cost([(costs(x), costs(y)) for x, y in pairs], terms),
        p95([(seconds(x), seconds(y)) for x, y in pairs], terms),
    )
    word, reasons = _decided({one.what: one for one in differences}, terms)
    return verdict(word=word, reasons=reasons, differences=differences)


def _decided(found: Mapping[str, Difference], terms: Terms) -> tuple[Word, tuple[str, ...]]:
    good, cheap = (found["answers"], found["tools"]), (found["cost"], found["p95"])
    worse = [one for one in good if one.side is Side.WORSE]
    if worse:
        return Word.DEMOTE, tuple(f"its {_NAMES[one.what]} are worse: {_told(one)}" for one in worse)
    better = [one for one in good if one.side is Side.BETTER]
    gains = [one for one in cheap if one.side is Side.BETTER]
    costs = [one for one in cheap if one.side is Side.WORSE]
    reasons = tuple(f"its {_NAMES[one.what]} are better: {_told(one)}" for one in better)
    reasons += tuple(f"its {_NAMES[one.what]} is lower: {_told(one)}" for one in gains)
    reasons += tuple(f"its {_NAMES[one.what]} is higher: {_told(one)}" for one in costs)
    if better and not costs:
        return Word.PROMOTE, reasons
    if (better or gains) and costs:
        return Word.HOLD, (*reasons, "better in one thing and worse in another: a person has to choose")
    unsure = [one for one in good if one.low is not None and one.low < -terms.as_good_margin]
    if gains and unsure:
        said = f"its {_NAMES[unsure[0].what]} may be up to {-100 * (unsure[0].low or 0):.0f} points worse"
        return Word.HOLD, (*reasons, f"{said}; more prompts or repeats would tell")
    if gains:
        return Word.PROMOTE, (*reasons, f"its answers are as good, within {100 * terms.as_good_margin:.0f} points")
    if costs:
        return Word.DEMOTE, (*reasons, "and nothing is better")
    return Word.HOLD, ("no difference that counts",)


_NAMES = {"answers": "answers", "tools": "tool calls", "cost": "cost", "p95": "P95"}


def _told(one: Difference) -> str:
    if one.a is None or one.b is None:
        return one.why
    if one.what in ("answers", "tools"):
        low, high = one.low or 0.0, one.high or 0.0
        return f"{100 * one.a:.0f} % to {100 * one.b:.0f} %, {100 * low:+.0f} to {100 * high:+.0f} points"
    return one.why or f"{one.change or 0:.2f} times, {one.low or 0:.2f} to {one.high or 0:.2f}"
