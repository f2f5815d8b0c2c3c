"""`fleet ledger`: what all fronts have in their ledgers, added up. Pure but for the asking."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from fleet.control.actions.gateways import GatewayNode, Gateways, answered, problems
from fleet.errors import FleetError, UsageError
from fleet.vocabulary.contracts.ledger_admin import LedgerBy, LedgerLine, LedgerQuery, LedgerReport
from fleet.vocabulary.money import usd
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.spreadsheet import harmless

COUNTS = ("requests", "failed", "untold", "prompt_tokens", "completion_tokens", "cached_tokens", "attempts")
AMOUNTS = ("spent_usd", "reserved_usd")


@dataclass(frozen=True, kw_only=True)
class LedgerSums:
    """The lines of the fleet, as far as its fronts answered. `fronts` are those that are in it."""

    by: tuple[LedgerBy, ...]
    lines: tuple[LedgerLine, ...]
    fronts: tuple[NodeName, ...]

    @property
    def total(self) -> LedgerLine:
        """All lines together; its names are empty."""
        return _added(("",) * len(self.by), self.lines)


def ledger_of(
    gateways: Sequence[GatewayNode], doors: Gateways, query: LedgerQuery
) -> tuple[LedgerSums | None, Mapping[NodeName, FleetError]]:
    """The sums of all fronts, and the fronts that did not say. Raises UsageError when there is no front."""
    fronts = [gateway for gateway in gateways if gateway.is_front]
    if not fronts:
        raise UsageError("there is no front", hint="a task `daemon: {service: gateway, role: front}` makes one")
    answers = doors.each(fronts, lambda door: door.ledger(query))
    found = answered(answers)
    return (summed(query.by, found) if found else None), problems(answers)


def summed(by: tuple[LedgerBy, ...], reports: Mapping[NodeName, LedgerReport]) -> LedgerSums:
    """One list of lines: times in their order, everything else the dearest first."""
    lines: dict[tuple[str, ...], list[LedgerLine]] = {}
    for report in reports.values():
        for line in report.lines:
            lines.setdefault(line.names, []).append(line)
    whole = [_added(names, some) for names, some in lines.items()]
    timed = bool(by) and by[0] in (LedgerBy.DAY, LedgerBy.WEEK, LedgerBy.MONTH)
    whole.sort(key=lambda line: line.names if timed else (-line.spent_pico, -line.requests, line.names))
    return LedgerSums(by=by, lines=tuple(whole), fronts=tuple(reports))


def instant(text: str, *, budget_tz: str = "UTC", now: datetime | None = None) -> int:
    """`2026-11-22`, `2026-11`, `2026-W47` (UTC) or `7d` ago: when that began, in milliseconds. Raises UsageError."""
    try:
        return int(_instant(text, ZoneInfo(budget_tz), now or datetime.now(UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time", hint="a day 2026-11-22, a month 2026-11, a week 2026-W47, or 7d for days ago"
        ) from None


def _instant(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    if text.endswith("d") and text[:-1].isdecimal():
        day = now.astimezone(zone).date() - timedelta(days=int(text[:-1]))
        return datetime(day.year, day.month, day.day, tzinfo=zone)
    if "-W" in text:
        year, _, week = text.partition("-W")
        day = date.fromisocalendar(int(year), int(week), 1)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    if len(text) == len("2026-11"):
        text += "-01"
    day = date.fromisoformat(text)
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def as_builtins(sums: LedgerSums) -> dict[str, object]:
    """For JSON: amounts are exact decimal text in USD."""
    return {
        "by": [one.value for one in sums.by],
        "fronts": list(sums.fronts),
        "lines": [_record(sums.by, line) for line in sums.lines],
        "total": _record((), sums.total),
    }


def as_csv(sums: LedgerSums) -> str:
    """A line each, with a head. A spreadsheet never takes a name for a formula."""
    out = io.StringIO()
    heads = [*(one.value for one in sums.by), *COUNTS, *AMOUNTS]
    writer = csv.DictWriter(out, heads, lineterminator="\n")
    writer.writeheader()
    for line in sums.lines:
        record = _record(sums.by, line)
        writer.writerow({name: harmless(value) for name, value in record.items()})
    return out.getvalue()


def _record(by: Sequence[LedgerBy], line: LedgerLine) -> dict[str, object]:
    named = {one.value: name for one, name in zip(by, line.names, strict=False)}
    amounts = {"spent_usd": f"{usd(line.spent_pico):f}", "reserved_usd": f"{usd(line.reserved_pico):f}"}
    return {**named, **{name: getattr(line, name) for name in COUNTS}, **amounts}


def _added(names: tuple[str, ...], lines: Iterable[LedgerLine]) -> LedgerLine:
    some = list(lines)
    counts = {name: sum(getattr(line, name) for line in some) for name in (*COUNTS, "spent_pico", "reserved_pico")}
    return LedgerLine(names=names, **counts)
