"""What a part of the report is made of, and the questions that parts share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleet.practice.weekly.answers import Answers
from fleet.practice.weekly.figures import Better, Figure, Read, Unit, UsageAsked
from fleet.practice.weekly.report import Action, Section, Unmeasured, Verdict
from fleet.practice.weekly.weeks import week_after
from fleet.traffic.budget.calendar import Week
from fleet.vocabulary.contracts.usage import Measure, UsageBy, UsageQuery

Names = tuple[tuple[str, ...], ...] | None

SPREADS = (Measure.SECONDS, Measure.FIRST_TOKEN_SECONDS)
_UNITS: Mapping[Read, tuple[Unit, Better]] = {
    Read.REQUESTS: (Unit.REQUESTS, Better.NEITHER),
    Read.FAILED: (Unit.REQUESTS, Better.LESS),
    Read.TOKENS: (Unit.TOKENS, Better.NEITHER),
    Read.PROMPT_TOKENS: (Unit.TOKENS, Better.NEITHER),
    Read.COMPLETION_TOKENS: (Unit.TOKENS, Better.NEITHER),
    Read.SPENT: (Unit.USD, Better.NEITHER),
    Read.USD_PER_MILLION: (Unit.USD_PER_MILLION, Better.LESS),
    Read.TOKENS_PART: (Unit.RATIO, Better.NEITHER),
    Read.SPENT_PART: (Unit.RATIO, Better.NEITHER),
    Read.GRAY: (Unit.REQUESTS, Better.NEITHER),
    Read.GRAY_PART: (Unit.RATIO, Better.NEITHER),
    Read.ELIGIBLE: (Unit.REQUESTS, Better.NEITHER),
    Read.CALLS: (Unit.CALLS, Better.NEITHER),
    Read.FAILURES: (Unit.CALLS, Better.LESS),
    Read.FAILURE_RATIO: (Unit.RATIO, Better.LESS),
    Read.FAILURE_LOW: (Unit.RATIO, Better.LESS),
    Read.FAILURE_HIGH: (Unit.RATIO, Better.LESS),
    Read.P50_SECONDS: (Unit.SECONDS, Better.LESS),
    Read.P95_SECONDS: (Unit.SECONDS, Better.LESS),
    Read.P50_FIRST_TOKEN: (Unit.SECONDS, Better.LESS),
    Read.P95_FIRST_TOKEN: (Unit.SECONDS, Better.LESS),
    Read.P95_TOOL_CALL: (Unit.SECONDS, Better.LESS),
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section, and what it adds to the front page and to the lists at the end."""

    section: Section
    verdicts: tuple[Verdict, ...] = ()
    actions: tuple[Action, ...] = ()
    unmeasured: tuple[Unmeasured, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Asker:
    """The week, and the way to its figures."""

    week: Week
    answers: Answers

    def query(self, *by: UsageBy, week: Week | None = None, measures: tuple[Measure, ...] = ()) -> UsageQuery:
        """How a week was used; the report's own when none is named."""
        one = week or self.week
        return UsageQuery(by=by, since_milliseconds=one.starts, until_milliseconds=one.ends, measures=measures)

    def usage(
        self,
        key: str,
        label: str,
        read: Read,
        *by: UsageBy,
        lines: Names = None,
        measures: tuple[Measure, ...] = (),
        compared: bool = True,
    ) -> Figure:
        """A figure of the week's usage, beside that of the week before."""
        unit, better = _UNITS[read]
        now = UsageAsked(query=self.query(*by, measures=measures), lines=lines, read=read)
        then = UsageAsked(query=self.query(*by, week=self.week.previous, measures=measures), lines=lines, read=read)
        return self.answers.figure(key, label, unit, now, before=then if compared else None, better=better)

    def names(self, *by: UsageBy, measures: tuple[Measure, ...] = ()) -> tuple[tuple[str, ...], ...]:
        """The names of the lines of the week, the most tokens first."""
        lines = self.answers.lines(self.query(*by, measures=measures))
        tokens = {
            names: sum(one.prompt_tokens + one.completion_tokens for one in some) for names, some in lines.items()
        }
        return tuple(sorted(tokens, key=lambda names: (-tokens[names], names)))

    @property
    def since_until(self) -> str:
        """The week as the command line is told it."""
        return f"--since {self.week} --until {week_after(self.week)}"


def key_of(words: Iterable[str]) -> str:
    """A name for a figure out of the names of its line."""
    return "/".join(word or "-" for word in words)
