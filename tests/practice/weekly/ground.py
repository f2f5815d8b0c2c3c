"""Two weeks of a small team in a real ledger, and a front that answers for it as a gateway does."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fleet.node.gateway.ledger.store import LedgerFile
from fleet.node.gateway.ledger.usage import first_request, usage
from fleet.practice.sources import Told
from fleet.practice.weekly.weeks import parse_week
from fleet.traffic.budget.calendar import DAY_MILLISECONDS, Week
from fleet.vocabulary.contracts.ledger import (
    CostSource,
    Owner,
    Request,
    Reservation,
    Row,
    Settlement,
    ToolVerdict,
)
from fleet.vocabulary.contracts.policy_admin import (
    BudgetKind,
    BudgetLine,
    BudgetReport,
    DollarState,
    GrayReport,
    GrayReports,
    Incidents,
)
from fleet.vocabulary.contracts.usage import UsageQuery, UsageReport
from fleet.vocabulary.money import PICO_PER_USD
from fleet.vocabulary.names import Sensitivity, Track

WEEK = parse_week("2026-W47")
NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What one sort of request looks like; `errs` is the share of its tool calls that fail."""

    model: str
    track: Track
    asked: str
    node: str = ""
    gray: bool = False
    prompt: int = 2000
    answer: int = 300
    pico: int = 0
    seconds: float = 2.0
    errs: float = 0.02
    ticket: str = ""


FLASH = Kind(model="flash", track=Track.TOKEN, asked="token-track", pico=400_000_000, seconds=1.6)
OPUS = Kind(
    model="opus", track=Track.DOLLAR, asked="dollar-track", prompt=6000, answer=1500, pico=67_500_000_000,
    seconds=9.0, errs=0.01, ticket="SEC-12",
)  # fmt: skip
OWL = Kind(model="owl", track=Track.GRAY, asked="token-track", gray=True, seconds=2.4, errs=0.03)
QWEN = Kind(model="qwen3-4b", track=Track.PRIVATE, asked="law", node="mini-1", seconds=3.1, errs=0.05)
TEAMS = ("web", "data", "security")


def rows(week: Week, counts: Mapping[Kind, int], *, seed: int = 1) -> list[Row]:
    """So many requests of each kind over a week, more on working days."""
    chance = random.Random(seed)
    found: list[Row] = []
    days = [1.0, 1.1, 1.2, 1.1, 0.9, 0.2, 0.15]
    for kind, count in counts.items():
        for number in range(count):
            day = chance.choices(range(7), days)[0]
            at = week.starts + day * DAY_MILLISECONDS + chance.randrange(DAY_MILLISECONDS)
            found.extend(_request(kind, f"{week}-{kind.model}-{number}", at, chance))
    return found


def _request(kind: Kind, name: str, at: int, chance: random.Random) -> list[Row]:
    stretch = chance.lognormvariate(0.0, 0.5)
    seconds = kind.seconds * stretch
    team = chance.choices(TEAMS, [5, 3, 1])[0]
    owner = Owner(key=f"{team}-1", person=team, team=team, app=chance.choice(["opencode", "codex"]))
    scored = chance.random() < 0.7
    verdict = None
    if scored:
        verdict = ToolVerdict.BAD_JSON if chance.random() < kind.errs else ToolVerdict.OK
    failed = chance.random() < 0.004
    request = Request(
        id=name, at_milliseconds=at, owner=owner, asked=kind.asked, route=kind.asked, track=kind.track,
        upstream=f"{kind.model}@x", node=kind.node, model=kind.model, outcome="error" if failed else "ok",
        stream=True, sensitivity=Sensitivity.PUBLIC if kind.gray else Sensitivity.INTERNAL,
        eligible=kind.gray or (kind.asked == "token-track" and chance.random() < 0.3), gray=kind.gray,
        attempts=1, session=f"s{chance.randrange(400)}", prompt_tokens=int(kind.prompt * chance.lognormvariate(0, 0.6)),
        completion_tokens=int(kind.answer * chance.lognormvariate(0, 0.5)), seconds=seconds,
        first_token_seconds=seconds * 0.2, tools_offered=3 if scored else 0, tool_verdict=verdict,
        tools_at_seconds=seconds * 0.8 if scored else None, ticket=kind.ticket,
    )  # fmt: skip
    if kind.node:
        return [request]
    pico = int(kind.pico * stretch)
    attempt = f"{name}/1"
    return [
        Reservation(
            id=attempt, request=name, at_milliseconds=at, owner=owner, route=kind.asked, track=kind.track,
            upstream=f"{kind.model}@x", model=kind.model, pico=pico * 2, gray=kind.gray, ticket=kind.ticket,
        ),
        Settlement(id=attempt, at_milliseconds=at, pico=pico, source=CostSource.PROVIDER),
        request,
    ]  # fmt: skip


def write(path: Path, some: Sequence[Row]) -> Path:
    """A ledger of these rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ledger = LedgerFile(path, synced=lambda row: False)
    ledger.put(some)
    ledger.close()
    return path


def two_weeks(path: Path) -> Path:
    """The ledger that most tests look at."""
    before = rows(WEEK.previous, {FLASH: 300, OPUS: 30, OWL: 30, QWEN: 80}, seed=1)
    now = rows(WEEK, {FLASH: 380, OPUS: 36, OWL: 40, QWEN: 75}, seed=2)
    return write(path, [*before, *now])


@dataclass(kw_only=True)
class LedgerFront:
    """A front over a real ledger; budget and gray pool as they are given."""

    ledger: Path
    node: str = "front-1"
    budget_report: BudgetReport | None = None
    gray_report: GrayReports | None = None
    away: Mapping[str, str] = field(default_factory=dict)
    asked: list[UsageQuery] = field(default_factory=list)

    def usage(self, query: UsageQuery) -> Told[UsageReport]:
        self.asked.append(query)
        lines = usage(self.ledger, query, budget_tz="UTC")
        report = UsageReport(node=self.node, lines=lines, oldest_milliseconds=first_request(self.ledger))
        return Told(reports={self.node: report}, away=self.away)

    def budget(self) -> Told[BudgetReport]:
        found = {} if self.budget_report is None else {self.node: self.budget_report}
        return Told(reports=found, away=self.away)

    def gray(self) -> Told[GrayReports]:
        found = {} if self.gray_report is None else {self.node: self.gray_report}
        return Told(reports=found, away=self.away)

    def incidents(self) -> Told[Incidents]:
        return Told(reports={}, away=self.away)


def budget_report(
    *,
    state: DollarState | None = DollarState.NORMAL,
    reason: str = "",
    days: tuple[int, ...] | None = None,
    cap_usd: int = 50,
) -> BudgetReport:
    """November so far, as of Monday the 23rd."""
    daily = days or (*(int(one * PICO_PER_USD) for one in _DAYS), *(0,) * (30 - len(_DAYS)))
    dollar = tuple(day * 9 // 10 for day in daily)
    month = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    ends = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    spent = sum(daily)
    return BudgetReport(
        node="front-1", month="2026-11", at_seconds=NOW.timestamp(), month_begins_seconds=month,
        month_ends_seconds=ends, today=23, days_pico=daily,
        track_days_pico={Track.DOLLAR: dollar, Track.TOKEN: tuple(day - day * 9 // 10 for day in daily)},
        dollar=state, dollar_reason=reason,
        dollar_until_seconds=None if state is DollarState.NORMAL else datetime(2026, 11, 30, tzinfo=UTC).timestamp(),
        unsettled=2,
        lines=(
            BudgetLine(kind=BudgetKind.FLEET, name="fleet", spent_pico=spent, tokens=20_000_000, requests=4800,
                       cap_pico=60 * PICO_PER_USD),
            BudgetLine(kind=BudgetKind.TRACK, name="dollar", spent_pico=sum(dollar), reserved_pico=PICO_PER_USD // 4,
                       tokens=2_000_000, requests=270, cap_pico=cap_usd * PICO_PER_USD),
            BudgetLine(kind=BudgetKind.TRACK, name="token", spent_pico=spent - sum(dollar), tokens=9_000_000,
                       requests=3400, cap_pico=10 * PICO_PER_USD),
            BudgetLine(kind=BudgetKind.TRACK, name="gray", tokens=900_000, requests=330),
            BudgetLine(kind=BudgetKind.TEAM, name="web", spent_pico=spent // 2, tokens=5_000_000, requests=2400,
                       cap_pico=40 * PICO_PER_USD),
        ),
    )  # fmt: skip


_DAYS = (
    *(0.3, 1.4, 1.6, 1.5, 1.9, 1.1, 0.2, 0.3, 1.7, 1.5, 1.8, 2.0, 1.2, 0.3),
    *(0.2, 1.9, 2.2, 2.3, 2.6, 1.8, 0.4, 0.3, 0.6),
)


def gray_report(**changes: object) -> GrayReports:
    """The pool of the token track."""
    values: dict[str, object] = {
        "route": "owl-pool", "models": ("owl",), "feeds": ("token-track",), "share": "0.10", "requests": 40,
        "gray": 3, "eligible": 12,
    }  # fmt: skip
    route = GrayReport(**{**values, **changes})  # type: ignore[arg-type]
    return GrayReports(node="front-1", at_seconds=NOW.timestamp(), routes=(route,))


def the_front(folder: Path) -> LedgerFront:
    """The front of most tests."""
    return LedgerFront(
        ledger=two_weeks(folder / "ledger.sqlite"), budget_report=budget_report(), gray_report=gray_report()
    )
