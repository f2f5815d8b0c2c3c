"""What fronts say, without a front: healthy, mixed, all stale, empty."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from tui_kit import NOW

from fleet.control.actions.traffic import Counted, Flow, Sums, Traffic, flow_of, sums_of
from fleet.vocabulary.contracts.gateway_admin import (
    LiveRequest,
    LiveRequests,
    RouteReport,
    RouteReports,
    UpstreamReport,
)
from fleet.vocabulary.contracts.ledger import ToolVerdict
from fleet.vocabulary.contracts.policy_admin import (
    BudgetKind,
    BudgetLine,
    BudgetReport,
    DollarState,
    GrayReport,
    GrayReports,
    GrayState,
    Incident,
    Incidents,
)
from fleet.vocabulary.contracts.usage import Measure, UsageLine, UsageReport
from fleet.vocabulary.money import PICO_PER_USD
from fleet.vocabulary.names import Lane, NodeName, Track
from fleet.vocabulary.quantiles import counted

USD = PICO_PER_USD
FRONT, OTHER = NodeName("front-1"), NodeName("front-2")
MONTH_BEGINS, MONTH_ENDS = 1_793_491_200.0, 1_796_083_200.0


def budget(front: str = FRONT, **changes: object) -> BudgetReport:
    """A front in the third week of its month, all budgets well."""
    day = (16, 15, 17, 16, 18, 3, 2, 17, 16, 15, 19, 17, 3, 2, 16, 18, 17, 15, 16, 3, 2, 8)
    lines = (
        BudgetLine(kind=BudgetKind.FLEET, name="fleet", spent_pico=271 * USD, reserved_pico=2 * USD, tokens=311_000_000,
                   requests=48_211, cap_pico=1050 * USD),
        BudgetLine(kind=BudgetKind.TRACK, name="dollar", spent_pico=198 * USD, reserved_pico=2 * USD, tokens=21_000_000,
                   requests=1_204, cap_pico=800 * USD),
        BudgetLine(kind=BudgetKind.TRACK, name="token", spent_pico=73 * USD, tokens=262_000_000, requests=42_300,
                   cap_pico=300 * USD),
        BudgetLine(kind=BudgetKind.TRACK, name="gray", tokens=28_000_000, requests=4_707),
        BudgetLine(kind=BudgetKind.TEAM, name="web", spent_pico=120 * USD, tokens=140_000_000, requests=20_100,
                   cap_pico=400 * USD),
        BudgetLine(kind=BudgetKind.TEAM, name="ml", spent_pico=151 * USD, tokens=171_000_000, requests=28_111),
        BudgetLine(kind=BudgetKind.KEY, name="ci", spent_pico=31 * USD, tokens=90_000_000, requests=9_800,
                   cap_pico=100 * USD, cap_tokens=400_000_000),
    )  # fmt: skip
    values: dict[str, object] = {
        "node": front,
        "month": "2026-11",
        "at_seconds": NOW.timestamp(),
        "month_begins_seconds": MONTH_BEGINS,
        "month_ends_seconds": MONTH_ENDS,
        "lines": lines,
        "today": 22,
        "days_pico": (*(one * USD for one in day), *([0] * 8)),
        "track_days_pico": {
            Track.DOLLAR: (*(one * USD * 3 // 4 for one in day), *([0] * 8)),
            Track.TOKEN: (*(one * USD // 4 for one in day), *([0] * 8)),
        },
        "dollar": DollarState.NORMAL,
        **changes,
    }
    return BudgetReport(**values)  # type: ignore[arg-type]


def full(front: str = FRONT) -> BudgetReport:
    """The dollar track had a week that was too dear, and its cap is near."""
    well = budget(front)
    spent = {"dollar": 792, "web": 341, "fleet": 870, "token": 78}
    lines = tuple(
        BudgetLine(
            kind=line.kind, name=line.name, spent_pico=spent.get(line.name, line.spent_pico // USD) * USD,
            reserved_pico=line.reserved_pico, tokens=line.tokens, requests=line.requests, cap_pico=line.cap_pico,
            cap_tokens=100_000_000 if line.cap_tokens else None,
        )
        for line in well.lines
    )  # fmt: skip
    days = tuple(one * 870 // 271 for one in well.days_pico)
    tracks = {
        Track.DOLLAR: tuple(one * 792 // 870 for one in days),
        Track.TOKEN: tuple(one * 78 // 870 for one in days),
    }
    return budget(
        front, lines=lines, days_pico=days, track_days_pico=tracks, dollar=DollarState.DOWNGRADED,
        dollar_until_seconds=1_795_392_000.0, dollar_reason="the week before cost $322, its part is $187", unsettled=3,
    )  # fmt: skip


def gray(front: str = FRONT, **changes: object) -> GrayReports:
    """One gray route that goes as it should."""
    values: dict[str, object] = {
        "route": "owl-pool", "models": ("owl",), "feeds": ("token-track",), "share": "0.10", "requests": 11_402,
        "gray": 903, "eligible": 1_203, "calls": 480, "failures": 10, "calls_before": 455, "failures_before": 9,
        "verdict": "ok", **changes,
    }  # fmt: skip
    return GrayReports(node=front, at_seconds=NOW.timestamp(), routes=(GrayReport(**values),))  # type: ignore[arg-type]


def request(name: str, seconds: float, **changes: object) -> LiveRequest:
    """One that is being answered."""
    values: dict[str, object] = {
        "id": name, "key": "ci", "surface": "chat", "route": "token-track", "model": "flash", "phase": "answering",
        "lane": Lane.INTERACTIVE, "seconds": seconds, "upstream": "openrouter/flash", "stream": True, "attempts": 1,
        "prompt_tokens": 4_120, "output_chunks": 312, "first_token_seconds": 0.61, **changes,
    }  # fmt: skip
    return LiveRequest(**values)  # type: ignore[arg-type]


def upstream(name: str, state: str = "ready", **changes: object) -> UpstreamReport:
    """One of a route."""
    kind = "openrouter" if name.startswith("openrouter") else "edge"
    values: dict[str, object] = {
        "name": name, "serves": name.rsplit("/", 1)[-1], "kind": kind, "state": state, "in_flight": 1,
        "max_in_flight": 8, "node": "" if kind == "openrouter" else name.split("/", maxsplit=1)[0], **changes,
    }  # fmt: skip
    return UpstreamReport(**values)  # type: ignore[arg-type]


REQUESTS = (
    request("01KAF3Q8Z1X", 41.2, upstream="mini-01/qwen3-30b", node="mini-01", model="qwen3-30b", route="code"),
    request("01KAF3QB7M2", 12.8, key="openclaw-ann"),
    request("01KAF3QD0PP", 3.1, phase="waiting", output_chunks=0, lane=Lane.BATCH, first_token_seconds=None),
    request("01KAF3QD9CE", 0.4, phase="queued", output_chunks=0, upstream="", key="web-bot", route="code"),
)


def routes(front: str = FRONT, *, sick: bool = False) -> RouteReports:
    """What a front can send where."""
    second = (
        upstream("mini-03/qwen3-30b", "down", in_flight=0, reason="no health for 41 s: connection refused")
        if sick
        else upstream("mini-03/qwen3-30b", in_flight=0)
    )
    standing = {"standing": "less", "unwell": ("thermal pressure is heavy",)} if sick else {}
    flash, opus, owl = (upstream(f"openrouter/{name}", max_in_flight=0) for name in ("flash", "opus", "owl"))
    own = (upstream("mini-01/qwen3-30b", in_flight=2), second, upstream("studio-1/qwen3-30b", **standing))
    return RouteReports(
        node=front, config_sha256="0" * 64,
        routes=(
            RouteReport(name="token-track", track=Track.TOKEN, upstreams=(flash,)),
            RouteReport(name="dollar-track", track=Track.DOLLAR, upstreams=(opus,)),
            RouteReport(name="owl-pool", track=Track.GRAY, upstreams=(owl,)),
            RouteReport(name="code", track=Track.PRIVATE, upstreams=own),
        ),
    )  # fmt: skip


def used(name: str, requests: int, *, failed: int = 0, seconds: float = 8.0, first: float = 0.5) -> UsageLine:
    """An hour of one upstream; the slowest of twenty takes four times as long."""
    spread = [seconds] * 18 + [seconds * 4] * 2
    return UsageLine(
        names=(name,), requests=requests, failed=failed + 2, broken=failed, prompt_tokens=requests * 3_100,
        completion_tokens=requests * 410,
        spreads={
            Measure.SECONDS: counted(spread),
            Measure.FIRST_TOKEN_SECONDS: counted(one * first / seconds for one in spread),
        },
    )  # fmt: skip


def hour(front: str = FRONT, *, sick: bool = False) -> UsageReport:
    """The last hour."""
    return UsageReport(
        node=front,
        lines=(
            used("openrouter/flash", 812, failed=3, seconds=6.1, first=0.61),
            used("openrouter/opus", 22, seconds=31.0, first=1.4),
            used("openrouter/owl", 88, failed=9 if sick else 0, seconds=9.3, first=0.9),
            used("mini-01/qwen3-30b", 240, seconds=11.0, first=0.42),
            used("studio-1/qwen3-30b", 131, seconds=7.4, first=0.31),
        ),
    )


def day(front: str = FRONT, *, sick: bool = False) -> UsageReport:
    """Tool calls of a day."""
    owl = {ToolVerdict.OK: 440, ToolVerdict.SCHEMA: 31 if sick else 6, ToolVerdict.BAD_JSON: 9 if sick else 4}
    return UsageReport(
        node=front,
        lines=(
            UsageLine(names=("deepseek/deepseek-v4-flash",), requests=9_100, with_tools=3_100,
                      verdicts={ToolVerdict.OK: 3_011, ToolVerdict.SCHEMA: 12, ToolVerdict.NO_CALL: 40}),
            UsageLine(names=("openrouter/owl-alpha",), requests=900, with_tools=480, verdicts=owl),
            UsageLine(names=("qwen3-30b",), requests=2_000),
        ),
    )  # fmt: skip


def incidents(front: str = FRONT, *, found: tuple[Incident, ...] = ()) -> Incidents:
    """Those of the last 90 days."""
    return Incidents(node=front, at_seconds=NOW.timestamp(), incidents=found)


OPEN = Incident(
    name="INC-7",
    opened_seconds=NOW.timestamp() - 3_600,
    until_seconds=NOW.timestamp() + 21_600,
    by="ann@laptop",
    spent_pico=14 * USD,
)


def flow(*, sick: bool = False, away: Mapping[NodeName, str] | None = None, at: datetime = NOW) -> Flow:
    """What one front says runs now."""
    return flow_of({FRONT: (LiveRequests(node=FRONT, requests=REQUESTS), routes(sick=sick))}, away or {}, at=at)


def sums(*, sick: bool = False, away: Mapping[NodeName, str] | None = None, at: datetime = NOW) -> Sums:
    """What one front counted."""
    rolled = {
        "state": GrayState.ROLLED_BACK, "reason": "its tool calls fail 8.3 % of 480, the week before 2.0 % of 455",
        "since_seconds": NOW.timestamp() - 5_000, "verdict": "worse", "failures": 40,
    }  # fmt: skip
    said = Counted(
        full() if sick else budget(),
        gray(**rolled) if sick else gray(),
        incidents(found=(OPEN,) if sick else ()),
        hour=hour(sick=sick),
        day=day(sick=sick),
    )
    return sums_of({FRONT: said}, away or {}, at=at)


_GONE: dict[NodeName, str] = {OTHER: "no answer on port 22 for 3m"}
_ALL_GONE: dict[NodeName, str] = {FRONT: "no session: the laptop is offline"}
_BEFORE = NOW - timedelta(seconds=400)
HEALTHY_TRAFFIC = Traffic(fronts=(FRONT,), flow=flow(), sums=sums())
MIXED_TRAFFIC = Traffic(fronts=(FRONT, OTHER), flow=flow(sick=True, away=_GONE), sums=sums(sick=True, away=_GONE))
STALE_TRAFFIC = Traffic(fronts=(FRONT,), flow=flow(away=_ALL_GONE, at=_BEFORE), sums=sums(away=_ALL_GONE, at=_BEFORE))
EMPTY_TRAFFIC = Traffic(
    fronts=(FRONT,),
    flow=flow_of({FRONT: (LiveRequests(node=FRONT), RouteReports(node=FRONT, config_sha256="0" * 64))}, {}, at=NOW),
    sums=sums_of({FRONT: None}, {}, at=NOW),
)


class Fronts:
    """A source of traffic that stands still."""

    def __init__(self, newest: Traffic | None) -> None:
        self.newest = newest
        self.problem = ""
        self.started = self.stopped = False
        self.asked_soon = 0

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.stopped = True

    def soon(self) -> None:
        self.asked_soon += 1
