"""What runs, and how it went, as rows: upstreams, requests in flight, tool calls by model, open incidents. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType

from fleet.control.actions.incidents import Told as Incident
from fleet.control.actions.requests import Request
from fleet.control.actions.upstreams import UpstreamNow
from fleet.control.actions.uses import Use
from fleet.control.watch.statewords import HEALTH, INTENT, Told, Tone
from fleet.tui.traffic_cells import (
    CRITICAL,
    NAME_CELLS,
    NOTHING,
    OK,
    WARN,
    Column,
    count,
    dollars,
    interval,
    like,
    name_column,
    percent,
    span,
)
from fleet.vocabulary.contracts.usage import Measure
from fleet.vocabulary.names import Health, Intent, Lane

_FAILING_RATIO, _FAILING_FROM = 0.05, 20
"""So much of the last hour failed, of at least so many requests."""
_FAILING = like(WARN, "failing")
_OPEN = like(WARN, "open")
_STATES: Mapping[str, Told] = MappingProxyType(
    {
        "ready": like(OK, "ready"),
        "full": like(WARN, "full"),
        "unknown": HEALTH[Health.UNKNOWN],
        "down": like(CRITICAL, "DOWN"),
        "draining": INTENT[Intent.DRAINING],
        "drained": INTENT[Intent.DRAINED],
    }
)
_STANDINGS = MappingProxyType({"less": like(WARN, "less work"), "none": like(WARN, "no work")})
_PHASES = MappingProxyType(
    {
        "queued": Told("◌", "~", "queued", Tone.WARN),
        "waiting": Told("○", "o", "waiting", Tone.UNKNOWN),
        "answering": like(OK, "answering"),
    }
)


@dataclass(frozen=True)
class Upstream:
    """An upstream now, and its last hour; None = nobody knows that, `Use` of no request = it had none."""

    now: UpstreamNow
    hour: Use | None = None

    @property
    def failing(self) -> bool:
        """Whether so much failed that it is no accident."""
        if self.hour is None or self.hour.line.requests < _FAILING_FROM:
            return False
        return (self.hour.broken_ratio or 0.0) >= _FAILING_RATIO

    @property
    def state(self) -> Told:
        """What choice does with it; of one that is ready, how that goes."""
        if self.now.state == "ready" and self.now.standing in _STANDINGS:
            return _STANDINGS[self.now.standing]
        if self.now.state == "ready" and self.failing:
            return _FAILING
        return _STATES.get(self.now.state, HEALTH[Health.UNKNOWN])


def phase_of(one: Request) -> Told:
    """How far it is: what the edge says, where one does."""
    word = one.edge_phase or one.phase
    return _PHASES.get(word, like(HEALTH[Health.UNKNOWN], word))


def where(one: Request) -> str:
    """Which upstream of which node: an edge's is called NODE/MODEL already."""
    named = not one.node or one.upstream.startswith(f"{one.node}/")
    return (one.upstream if named else f"{one.upstream}@{one.node}") or "-"


def clock_time(seconds: float | None) -> str:
    """`11-22 14:05`, UTC."""
    return "-" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%m-%d %H:%M}"


def _flight(one: Upstream, *_: object) -> tuple[str, Tone]:
    most = one.now.max_in_flight
    text = f"{one.now.in_flight}/{most}" if most else str(one.now.in_flight)
    return text, Tone.WARN if most and one.now.in_flight >= most else Tone.PLAIN


def _hour(one: Upstream, *_: object) -> tuple[str, Tone]:
    return NOTHING if one.hour is None else (count(one.hour.line.requests), Tone.PLAIN)


def _failed(one: Upstream, *_: object) -> tuple[str, Tone]:
    ratio = one.hour.broken_ratio if one.hour else None
    return percent(ratio), Tone.DIM if ratio is None else Tone.WARN if one.failing else Tone.PLAIN


def _quantile(one: Upstream, *_: object, measure: Measure, share: float) -> tuple[str, Tone]:
    found = one.hour.quantile(measure, share) if one.hour else None
    return span(found), Tone.DIM if found is None else Tone.PLAIN


def _tokens(one: Upstream, *_: object) -> tuple[str, Tone]:
    return NOTHING if one.hour is None else (count(one.hour.tokens), Tone.PLAIN)


def _kinds(one: Use, *_: object) -> tuple[str, Tone]:
    return ", ".join(f"{verdict} {number}" for verdict, number in one.failures.items()) or "-", Tone.PLAIN


UPSTREAM = (
    name_column("UPSTREAM", lambda one: one.now.name),
    Column("STATE", 13, lambda one, _, pen: pen.state(one.state)),
    Column("FLIGHT", 6, _flight, right=True),
    Column("REQ 1h", 6, _hour, right=True),
    Column("FAILED", 7, _failed, right=True),
    Column("P50", 5, partial(_quantile, measure=Measure.SECONDS, share=0.5), right=True),
    Column("P95", 5, partial(_quantile, measure=Measure.SECONDS, share=0.95), right=True),
    Column("TTFT", 5, partial(_quantile, measure=Measure.FIRST_TOKEN_SECONDS, share=0.5), right=True),
    Column("TTFT95", 6, partial(_quantile, measure=Measure.FIRST_TOKEN_SECONDS, share=0.95), right=True, spare=True),
    Column("TOKENS", 6, _tokens, right=True, spare=True),
)
REQUEST = (
    Column("IN FLIGHT", NAME_CELLS, lambda one, *_: (one.id, Tone.PLAIN)),  # its beginning is a name of it, too
    Column("PHASE", 13, lambda one, _, pen: pen.state(phase_of(one))),
    Column("KEY", 11, lambda one, *_: (one.key or "-", Tone.PLAIN)),
    Column("ROUTE", 11, lambda one, width, pen: (pen.middle(one.route, width), Tone.PLAIN)),
    Column("TIME", 6, lambda one, *_: (span(one.seconds), Tone.PLAIN), right=True),
    Column("IN", 5, lambda one, *_: (count(one.prompt_tokens), Tone.PLAIN), right=True),
    Column("OUT", 5, lambda one, *_: (count(one.output_chunks), Tone.PLAIN), right=True),
    Column("UPSTREAM", 18, lambda one, width, pen: (pen.middle(where(one), width), Tone.PLAIN), spare=True, most=36),
    Column("LANE", 5, lambda one, *_: ("batch" if one.lane is Lane.BATCH else "", Tone.DIM), spare=True),
)
TOOLS = (
    name_column("TOOLS 24h", lambda one: one.line.names[0]),
    Column("SCORED", 13, lambda one, *_: (f"{one.scored:,}", Tone.PLAIN)),
    Column("FAILED", 8, lambda one, *_: (percent(one.tool_errors), Tone.PLAIN), right=True),
    Column("95 %", 11, lambda one, *_: (interval(one.tool_errors_between), Tone.DIM), right=True),
    Column("WHAT FAILED", 20, _kinds, most=60),
)
INCIDENT = (
    name_column("INCIDENT", lambda one: one.name),
    Column("STATE", 13, lambda _, __, pen: pen.state(_OPEN)),
    Column("SPENT", 8, lambda one, *_: (dollars(one.spent_pico), Tone.PLAIN), right=True),
    Column("OPENED", 11, lambda one, *_: (clock_time(one.opened_seconds), Tone.PLAIN)),
    Column("UNTIL (UTC)", 11, lambda one, *_: (clock_time(one.until_seconds), Tone.PLAIN)),
    Column("BY", 8, lambda one, *_: (one.by or "-", Tone.PLAIN), most=30),
)


def open_now(found: tuple[Incident, ...]) -> list[Incident]:
    """Those that are open at a front."""
    return [one for one in found if one.open_at]
