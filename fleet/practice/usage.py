"""What several fronts tell of their use, added up, and what can be read off a line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fleet.practice.sources import Fronts, Told
from fleet.traffic.tools.score import FAILURES, SUCCESSES
from fleet.vocabulary import quantiles
from fleet.vocabulary.contracts.ledger import ToolVerdict
from fleet.vocabulary.contracts.usage import Measure, UsageBy, UsageLine, UsageQuery, UsageReport

TIMES = (UsageBy.HOUR, UsageBy.DAY, UsageBy.WEEK, UsageBy.MONTH)
SUMS = (
    *("requests", "failed", "untold", "gray", "eligible", "streamed", "prompt_tokens", "completion_tokens"),
    *("cached_tokens", "reasoning_tokens", "reasoned", "with_tools", "sessions", "busy_seconds", "spent_pico"),
    *("reserved_pico", "broken"),
)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The answer of a whole fleet, as far as its fronts gave one. `away`: why the others did not."""

    query: UsageQuery
    lines: tuple[UsageLine, ...] = ()
    fronts: tuple[str, ...] = ()
    away: Mapping[str, str] = field(default_factory=dict)
    oldest_milliseconds: int | None = None

    @property
    def total(self) -> UsageLine:
        """All lines together; its names are empty.

        Conversations are not in it: one that has two models is in both of their lines.
        """
        whole = added(("",) * len(self.query.by), self.lines)
        return _without_sessions(whole) if self.query.by else whole

    def line(self, *names: str) -> UsageLine | None:
        """The line of these names."""
        return next((line for line in self.lines if line.names == names), None)


def ask_usage(fronts: Fronts, query: UsageQuery) -> Usage:
    """The answer of all fronts."""
    return together(query, fronts.usage(query))


def together(query: UsageQuery, told: Told[UsageReport]) -> Usage:
    """One list of lines: times in their order, everything else the dearest first."""
    lines: dict[tuple[str, ...], list[UsageLine]] = {}
    for report in told.reports.values():
        for line in report.lines:
            lines.setdefault(line.names, []).append(line)
    whole = [added(names, some) for names, some in lines.items()]
    timed = bool(query.by) and query.by[0] in TIMES
    whole.sort(key=lambda line: line.names if timed else (-line.spent_pico, -line.requests, line.names))
    oldest = [one.oldest_milliseconds for one in told.reports.values() if one.oldest_milliseconds is not None]
    return Usage(
        query=query,
        lines=tuple(whole),
        fronts=tuple(told.reports),
        away=dict(told.away),
        oldest_milliseconds=min(oldest, default=None),
    )


def added(names: tuple[str, ...], lines: Iterable[UsageLine]) -> UsageLine:
    """The sums of lines, and their spreads as one."""
    some = list(lines)
    verdicts: dict[ToolVerdict, int] = {}
    for line in some:
        for verdict, count in line.verdicts.items():
            verdicts[verdict] = verdicts.get(verdict, 0) + count
    measured = dict.fromkeys(measure for line in some for measure in line.spreads)
    return UsageLine(
        names=names,
        **{name: sum(getattr(line, name) for line in some) for name in SUMS},
        verdicts=verdicts,
        spreads={one: quantiles.together(line.spreads.get(one, {}) for line in some) for one in measured},
    )


def quantile_of(line: UsageLine, measure: Measure, share: float) -> float | None:
    """What `share` (0 to 1) of its requests do not exceed, within 2 %; None = nothing was measured, or asked for."""
    return quantiles.quantile(line.spreads.get(measure, {}), share)


@dataclass(frozen=True, kw_only=True)
class ToolUse:
    """What became of offered tools (docs/tool-calls.md). `unused`: an answer without a call; others are in none."""

    successes: int
    failures: int
    unused: int

    @property
    def error_rate(self) -> float | None:
        """Failures of all scored calls; None = there was none."""
        scored = self.successes + self.failures
        return self.failures / scored if scored else None

    @property
    def call_rate(self) -> float | None:
        """How many of the answers that can be judged made use of their tools, well or badly; None = there was none."""
        judged = self.successes + self.failures + self.unused
        return (self.successes + self.failures) / judged if judged else None


def tool_use(line: UsageLine) -> ToolUse:
    """Of one line."""
    return ToolUse(
        successes=sum(count for verdict, count in line.verdicts.items() if verdict in SUCCESSES),
        failures=sum(count for verdict, count in line.verdicts.items() if verdict in FAILURES),
        unused=line.verdicts.get(ToolVerdict.NO_CALL, 0),
    )


def _without_sessions(line: UsageLine) -> UsageLine:
    known = {name: getattr(line, name) for name in SUMS if name != "sessions"}
    spreads: dict[Measure, dict[int, int]] = {
        one: counts for one, counts in line.spreads.items() if one is not Measure.TURNS
    }
    return UsageLine(names=line.names, **known, verdicts=line.verdicts, spreads=spreads)
