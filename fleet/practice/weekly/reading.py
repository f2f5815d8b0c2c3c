"""Reads a figure from what the fronts told. Total: what nobody told is None, never 0. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction

from fleet.practice.budget import Budget
from fleet.practice.weekly.figures import BudgetAsked, BudgetRead, GrayAsked, GrayRead, Read, UsageAsked, Value
from fleet.practice.weekly.weeks import parse_week
from fleet.traffic.budget.calendar import allotment_pico
from fleet.traffic.gray.observed import wilson
from fleet.traffic.tools.score import FAILURES, SUCCESSES
from fleet.vocabulary.contracts.policy_admin import GrayReport, GrayReports, GrayState
from fleet.vocabulary.contracts.usage import Measure, UsageLine, UsageQuery, UsageReport
from fleet.vocabulary.money import usd
from fleet.vocabulary.quantiles import quantile, together

_MILLION = 1_000_000
_WORST_FIRST = (
    *(GrayState.ROLLED_BACK, GrayState.SUSPENDED, GrayState.DISABLED),
    *(GrayState.NO_MODEL, GrayState.ON),
)
_MEASURES = {
    Read.P50_SECONDS: (Measure.SECONDS, 0.5),
    Read.P95_SECONDS: (Measure.SECONDS, 0.95),
    Read.P50_FIRST_TOKEN: (Measure.FIRST_TOKEN_SECONDS, 0.5),
    Read.P95_FIRST_TOKEN: (Measure.FIRST_TOKEN_SECONDS, 0.95),
    Read.P95_TOOL_CALL: (Measure.TOOLS_AT_SECONDS, 0.95),
}


def amount(pico: int) -> str:
    """Pico-dollars as exact decimal text in USD."""
    return f"{usd(pico):f}"


def of_usage(asked: UsageAsked, reports: Iterable[UsageReport]) -> Value:
    """From what the fronts told of usage. None also when none of them had a ledger in that time."""
    told = [report for report in reports if _knows(report, asked.query)]
    if not told:
        return None
    every = [line for report in told for line in report.lines]
    meant = every if asked.lines is None else [line for line in every if line.names in set(asked.lines)]
    if asked.read in _MEASURES:
        measure, share = _MEASURES[asked.read]
        found = quantile(together(line.spreads.get(measure, {}) for line in meant), share)
        return None if found is None else round(found, 4)
    return _READERS[asked.read](meant, every)


def failures_and_calls(lines: Sequence[UsageLine]) -> tuple[int, int]:
    """Of the tool calls that say something of a model: those that failed, and all."""
    failed = sum(count for line in lines for verdict, count in line.verdicts.items() if verdict in FAILURES)
    good = sum(count for line in lines for verdict, count in line.verdicts.items() if verdict in SUCCESSES)
    return failed, failed + good


def _knows(report: UsageReport, query: UsageQuery) -> bool:
    """Whether the front had a ledger before the time that is asked for was over."""
    until, oldest = query.until_milliseconds, report.oldest_milliseconds
    return oldest is not None and (until is None or oldest < until)


def _sum(name: str) -> Callable[[Sequence[UsageLine], Sequence[UsageLine]], Value]:
    return lambda meant, _every: sum(getattr(line, name) for line in meant)


def _tokens(lines: Sequence[UsageLine]) -> int:
    return sum(line.prompt_tokens + line.completion_tokens for line in lines)


def _spent(lines: Sequence[UsageLine]) -> int:
    return sum(line.spent_pico for line in lines)


def _part(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _per_million(lines: Sequence[UsageLine]) -> Value:
    tokens = _tokens(lines)
    return amount(_spent(lines) * _MILLION // tokens) if tokens else None


def _failure(at: int) -> Callable[[Sequence[UsageLine], Sequence[UsageLine]], Value]:
    def read(meant: Sequence[UsageLine], _every: Sequence[UsageLine]) -> Value:
        failed, calls = failures_and_calls(meant)
        interval = wilson(failed, calls)
        return None if interval is None else round((failed / calls, *interval)[at], 6)

    return read


_READERS: Mapping[Read, Callable[[Sequence[UsageLine], Sequence[UsageLine]], Value]] = {
    Read.REQUESTS: _sum("requests"),
    Read.FAILED: _sum("failed"),
    Read.PROMPT_TOKENS: _sum("prompt_tokens"),
    Read.COMPLETION_TOKENS: _sum("completion_tokens"),
    Read.GRAY: _sum("gray"),
    Read.ELIGIBLE: _sum("eligible"),
    Read.TOKENS: lambda meant, _: _tokens(meant),
    Read.SPENT: lambda meant, _: amount(_spent(meant)),
    Read.USD_PER_MILLION: lambda meant, _: _per_million(meant),
    Read.TOKENS_PART: lambda meant, every: _part(_tokens(meant), _tokens(every)),
    Read.SPENT_PART: lambda meant, every: _part(_spent(meant), _spent(every)),
    Read.GRAY_PART: lambda meant, _: _part(sum(one.gray for one in meant), sum(one.requests for one in meant)),
    Read.CALLS: lambda meant, _: failures_and_calls(meant)[1],
    Read.FAILURES: lambda meant, _: failures_and_calls(meant)[0],
    Read.FAILURE_RATIO: _failure(0),
    Read.FAILURE_LOW: _failure(1),
    Read.FAILURE_HIGH: _failure(2),
}


def of_budget(asked: BudgetAsked, month: Budget | None) -> Value:
    """From the month of all fronts."""
    if month is None:
        return None
    if asked.read is BudgetRead.STATE:
        return None if month.dollar is None else month.dollar.value
    line = month.line(asked.kind, asked.name)
    if asked.read is BudgetRead.DAY:
        days = month.days_pico
        return amount(days[asked.day - 1]) if asked.day is not None and 0 < asked.day <= len(days) else None
    if line is None:
        return None
    if asked.read is BudgetRead.SPENT:
        return amount(line.spent_pico)
    if asked.read is BudgetRead.HELD:
        return amount(line.reserved_pico)
    if asked.read in (BudgetRead.CAP, BudgetRead.USED_PART, BudgetRead.ALLOTMENT):
        return _of_cap(asked, line.cap_pico, line.spent_pico + line.reserved_pico)
    end = month.month_end(line)
    if end is None:
        return None
    return amount(
        {
            BudgetRead.MONTH_END: end.expected,
            BudgetRead.MONTH_END_LOW: end.low,
            BudgetRead.MONTH_END_HIGH: end.high,
        }[asked.read]
    )


def _of_cap(asked: BudgetAsked, cap: int | None, used: int) -> Value:
    if cap is None:
        return None
    if asked.read is BudgetRead.CAP:
        return amount(cap)
    if asked.read is BudgetRead.USED_PART:
        return _part(used, cap)
    return None if asked.week is None else amount(allotment_pico(parse_week(asked.week), lambda _: cap))


def gray_routes(reports: Iterable[GrayReports]) -> dict[str, tuple[GrayReport, ...]]:
    """What each front says of each gray route."""
    found: dict[str, tuple[GrayReport, ...]] = {}
    for report in reports:
        for route in report.routes:
            found[route.route] = (*found.get(route.route, ()), route)
    return found


def of_gray(asked: GrayAsked, reports: Iterable[GrayReports]) -> Value:
    """From what the fronts say of a gray route now; the worst state and the largest cap of them."""
    told = gray_routes(reports).get(asked.route, ())
    if not told:
        return None
    requests, gray = sum(one.requests for one in told), sum(one.gray for one in told)
    match asked.read:
        case GrayRead.STATE:
            return worst(told).state.value
        case GrayRead.SHARE_CAP:
            return float(max(map(_share, told)))
        case GrayRead.REQUESTS:
            return requests
        case GrayRead.GRAY:
            return gray
        case GrayRead.OBSERVED:
            return _part(gray, requests)
        case GrayRead.ELIGIBLE:
            return sum(one.eligible for one in told)


def worst(told: Sequence[GrayReport]) -> GrayReport:
    """The front whose state of the route is the worst."""
    return min(told, key=lambda one: _WORST_FIRST.index(one.state))


def _share(report: GrayReport) -> Fraction:
    try:
        return Fraction(report.share)
    except (ValueError, ZeroDivisionError):
        return Fraction(0)
