"""The month of a whole fleet: what all its fronts tell of theirs, added up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import msgspec

from fleet.traffic.budget.projection import Projection, projection
from fleet.vocabulary.contracts.policy_admin import BudgetKind, BudgetLine, BudgetReport, DollarState
from fleet.vocabulary.names import NodeName, Track

_ORDER = tuple(BudgetKind)
_DOLLAR_ORDER = (DollarState.NORMAL, DollarState.DOWNGRADED, DollarState.CAPPED)


@dataclass(frozen=True, kw_only=True)
class FrontState:
    """What is said of one front alone."""

    node: NodeName
    share: str
    dollar: DollarState | None = None
    dollar_until_seconds: float | None = None
    dollar_reason: str = ""
    unsettled: int = 0
    ledger_problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The month of the whole fleet, as far as its fronts answered. Amounts are pico-dollars.

    `days_pico`: what every day of the month cost, those to come 0; `today` is the number of the running one.
    `warnings` are for whoever wrote the inventory.
    """

    month: str
    budget_tz: str
    at_seconds: float
    begins_seconds: float
    ends_seconds: float
    lines: tuple[BudgetLine, ...]
    today: int
    days_pico: tuple[int, ...]
    track_days_pico: Mapping[Track, tuple[int, ...]]
    fronts: tuple[FrontState, ...]
    warnings: tuple[str, ...] = ()

    @property
    def dollar(self) -> DollarState | None:
        """The worst state of the dollar track at any front; None where nobody has one."""
        found = [front.dollar for front in self.fronts if front.dollar is not None]
        return max(found, key=_DOLLAR_ORDER.index, default=None)

    def month_end(self, line: BudgetLine) -> Projection | None:
        """Where the fleet or a track will be when the month ends; None for others, and while it is too early."""
        if line.kind is BudgetKind.FLEET:
            return projection(self.days_pico, self.today)
        if line.kind is BudgetKind.TRACK and line.name in tuple(Track):
            return projection(self.track_days_pico.get(Track(line.name), ()), self.today)
        return None

    def line(self, kind: BudgetKind, name: str) -> BudgetLine | None:
        """One line."""
        return next((line for line in self.lines if (line.kind, line.name) == (kind, name)), None)


def summed(reports: Iterable[BudgetReport]) -> Budget:
    """One budget of at least one report.

    Where the month has just turned, a front that still tells the old one is left out and named.
    """
    told = sorted(reports, key=lambda report: (report.month, report.at_seconds))
    newest = told[-1]
    now = [report for report in told if report.month == newest.month]
    warnings = [f"{report.node} still tells {report.month}" for report in told if report.month != newest.month]
    lines: dict[tuple[BudgetKind, str], BudgetLine] = {}
    for report in now:
        for line in report.lines:
            lines[line.kind, line.name] = _added(lines.get((line.kind, line.name)), line, warnings)
    return Budget(
        month=newest.month,
        budget_tz=newest.budget_tz,
        at_seconds=newest.at_seconds,
        begins_seconds=newest.month_begins_seconds,
        ends_seconds=newest.month_ends_seconds,
        lines=tuple(sorted(lines.values(), key=lambda line: (_ORDER.index(line.kind), -line.spent_pico, line.name))),
        today=max(report.today for report in now),
        days_pico=_days([report.days_pico for report in now]),
        track_days_pico={
            track: _days([report.track_days_pico.get(track, ()) for report in now])
            for track in Track
            if any(track in report.track_days_pico for report in now)
        },
        fronts=tuple(_front(report) for report in now),
        warnings=tuple(dict.fromkeys([*warnings, *_shares(now)])),
    )


def _front(report: BudgetReport) -> FrontState:
    return FrontState(
        node=NodeName(report.node),
        share=report.share,
        dollar=report.dollar,
        dollar_until_seconds=report.dollar_until_seconds,
        dollar_reason=report.dollar_reason,
        unsettled=report.unsettled,
        ledger_problem=report.ledger_problem,
    )


def _added(one: BudgetLine | None, other: BudgetLine, warnings: list[str]) -> BudgetLine:
    if one is None:
        return other
    if (one.cap_pico, one.cap_tokens) != (other.cap_pico, other.cap_tokens):
        warnings.append(f"fronts have different caps for {one.kind} {one.name}: deploy all of them")
    return msgspec.structs.replace(
        one,
        spent_pico=one.spent_pico + other.spent_pico,
        reserved_pico=one.reserved_pico + other.reserved_pico,
        tokens=one.tokens + other.tokens,
        requests=_both(one.requests, other.requests),
        cap_pico=_least(one.cap_pico, other.cap_pico),
        cap_tokens=_least(one.cap_tokens, other.cap_tokens),
    )


def _both(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _least(one: int | None, other: int | None) -> int | None:
    return min((cap for cap in (one, other) if cap is not None), default=None)


def _days(days: Sequence[Sequence[int]]) -> tuple[int, ...]:
    longest = max(map(len, days), default=0)
    return tuple(sum(one[day] for one in days if day < len(one)) for day in range(longest))


def _shares(reports: Sequence[BudgetReport]) -> list[str]:
    """Caps hold together only as long as the fronts' parts of them are no more than the whole."""
    try:
        whole = sum((Fraction(report.share) for report in reports), Fraction())
    except (ValueError, ZeroDivisionError):
        return ["a front tells a budget_share that is no number"]
    if whole <= 1:
        return []
    return [f"the fronts' budget_share adds up to {float(whole):g}, over 1: together they may spend more than the caps"]
