"""What a front does by the calendar: the reports that are missing, the oldest first, until the last whole week."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fleet.practice.sources import Fronts
from fleet.practice.weekly.make import make
from fleet.practice.weekly.store import missing_weeks, write_report
from fleet.practice.weekly.weeks import last_whole_week
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.usage import UsageBy, UsageQuery

_BREATH_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class CaughtUp:
    """The weeks whose report was made, and why the rest is missing still; "" = nothing is."""

    made: tuple[str, ...] = ()
    problem: str = ""


def patiently(attempt: Callable[[], CaughtUp], clock: Clock, *, within_seconds: float) -> CaughtUp:
    """Again while something is in the way: when a Mac starts, its gateway is not up before this is. Raises OSError."""
    until = clock.monotonic() + within_seconds
    made: tuple[str, ...] = ()
    while True:
        found = attempt()
        made = (*made, *found.made)
        if not found.problem or clock.monotonic() >= until:
            return CaughtUp(made=made, problem=found.problem)
        clock.sleep(_BREATH_SECONDS)


def catch_up(fronts: Fronts, reports: Path, *, now: datetime, most: int, told: Callable[[str], None]) -> CaughtUp:
    """Make what is missing of the last `most` weeks. A week is missing again when a front was away. Raises OSError."""
    newest = last_whole_week(int(now.timestamp() * 1000))
    # A narrow question: what is wanted of its answer is when the ledger begins.
    began = fronts.usage(
        UsageQuery(by=(UsageBy.TRACK,), since_milliseconds=newest.starts, until_milliseconds=newest.ends)
    )
    if began.away:
        return CaughtUp(problem="; ".join(f"{name}: {why}" for name, why in began.away.items()))
    oldest = [one.oldest_milliseconds for one in began.reports.values() if one.oldest_milliseconds is not None]
    made: list[str] = []
    for week in missing_weeks(reports, newest=newest, oldest_milliseconds=min(oldest, default=None), most=most):
        report = make(week, fronts, now=now)
        if not report.fronts:
            why = "; ".join(one.why for one in report.unmeasured)
            return CaughtUp(made=tuple(made), problem=f"{week}: {why}")
        folder, _ = write_report(reports, report)
        told(f"{week}: {folder}")
        made.append(str(week))
    return CaughtUp(made=tuple(made))
