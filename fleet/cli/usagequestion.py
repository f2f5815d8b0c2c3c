"""What a person asks about usage, as a question to fronts. Pure."""

from __future__ import annotations

from enum import StrEnum

from fleet.control.actions.ledger import instant
from fleet.errors import UsageError
from fleet.vocabulary.contracts.usage import Measure, UsageBy

_MOST_NAMES = 4
OVERVIEW: tuple[tuple[UsageBy, ...], ...] = (
    (UsageBy.TRACK,),
    (UsageBy.MODEL,),
    (UsageBy.TEAM,),
    (UsageBy.APP,),
    (UsageBy.TIER,),
    (UsageBy.REASONING,),
    (UsageBy.WEEK, UsageBy.MODEL),
)
"""What is told to whoever asks for nothing in particular."""


class Show(StrEnum):
    """Which columns a table has."""

    TOKENS = "tokens"
    TOOLS = "tools"
    LENGTHS = "lengths"
    TIMES = "times"

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The spreads that they need."""
        match self:
            case Show.LENGTHS:
                return Measure.PROMPT_TOKENS, Measure.COMPLETION_TOKENS, Measure.TURNS
            case Show.TIMES:
                return Measure.SECONDS, Measure.FIRST_TOKEN_SECONDS, Measure.TOOLS_AT_SECONDS
            case _:
                return ()


def by_of(names: str) -> tuple[UsageBy, ...]:
    """`team,model`. Raises UsageError."""
    known = {one.value: one for one in UsageBy}
    asked = [name.strip() for name in names.split(",")]
    unknown = next((name for name in asked if name not in known), None)
    if unknown is not None:
        raise UsageError(f"{unknown!r} is nothing that requests are added up by", hint=f"one of {', '.join(known)}")
    if len(asked) > _MOST_NAMES or len(set(asked)) < len(asked):
        raise UsageError("--by takes up to four different names", hint="for example --by team,model")
    return tuple(known[name] for name in asked)


def span_of(since: str | None, until: str | None, *, budget_tz: str) -> tuple[int | None, int | None]:
    """Two times as people give them, in milliseconds. Raises UsageError."""
    begin = None if since is None else instant(since, budget_tz=budget_tz)
    end = None if until is None else instant(until, budget_tz=budget_tz)
    if begin is not None and end is not None and begin >= end:
        raise UsageError("--until is not after --since", hint="--until is the first moment that is no longer in it")
    return begin, end
