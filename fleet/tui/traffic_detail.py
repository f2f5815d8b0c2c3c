"""What the row under the cursor says in full: what it is, what its figures mean, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from fleet.control.actions.graypool import Pool
from fleet.control.actions.incidents import Told as Incident
from fleet.control.actions.requests import Request
from fleet.control.actions.uses import Use
from fleet.control.watch.statewords import Told, Tone
from fleet.tui.lines import Cell
from fleet.tui.traffic_cells import Pen, count, dollars, interval, percent, span_of
from fleet.tui.traffic_flow import Upstream, clock_time, phase_of, where
from fleet.tui.traffic_money import Spent, cap_of, gray_state, gray_verdict
from fleet.tui.traffic_notes import Note
from fleet.tui.traffic_rows import Section, TrafficRow
from fleet.tui.words import to_do
from fleet.vocabulary.contracts.policy_admin import BudgetKind, GrayState
from fleet.vocabulary.units import seconds_text

Line = list[Cell]
_HEADS = MappingProxyType(
    {
        Section.NOTES: "what fronts have to say beside their figures",
        Section.TRACKS: "what was spent this month; USED is spent and held, of the cap; four of five months end within"
        " MONTH END",
        Section.GRAY: "SHARE: gray of all requests of this ISO week; ELIGIBLE: those that could have gone gray",
        Section.UPSTREAMS: "FLIGHT: sent by a front, of what it may have; FAILED, P50, P95 and TTFT (to the first"
        " token): the last hour",
        Section.REQUESTS: "what came in at a front, the oldest first; IN is predicted until the model said it; OUT"
        " counts pieces",
        Section.BUDGETS: "teams, keys and tickets with a cap or a use this month, the fullest first",
        Section.TOOLS: "tool calls of the last 24 hours whose outcome counts, and what of them failed, by model",
        Section.INCIDENTS: "while one is open, its keys may spend between cap and ceiling",
    }
)


def traffic_lines(row: TrafficRow | None, *, height: int, pen: Pen) -> list[Line]:
    """At most `height` lines."""
    if row is None:
        return []
    if not row.name:
        return [[Cell(_HEADS[row.section], Tone.DIM.value)]]
    return list(_SAYS[row.section](row.said, pen))[:height]


def _said(name: str, state: Told | None, facts: str, pen: Pen) -> Line:
    cells = [Cell(f"{name} ", "bold")]
    if state is not None:
        cells.append(Cell(*pen.state(state)))
    return [*cells, Cell(f"  {facts}", Tone.DIM.value)]


def _plain(text: str) -> Line:
    return [Cell(f"  {text}", Tone.PLAIN.value)]


def _note(one: Note, pen: Pen) -> Iterator[Line]:
    yield _said(one.front, one.state, "", pen)
    yield _plain(one.text)
    if one.do:
        yield to_do(one.do)


def _budget(one: Spent, pen: Pen) -> Iterator[Line]:
    line = one.line
    cap = "no cap" if line.cap_pico is None else f"cap {dollars(line.cap_pico)}"
    most = "" if line.cap_tokens is None else f" of {count(line.cap_tokens)}"
    tokens = "" if line.kind is BudgetKind.TICKET else f"; {count(line.tokens)}{most} tokens"
    yield _said(one.name, one.state, f"{cap}{tokens}", pen)
    held = f", and {dollars(line.reserved_pico)} held for what runs or is not settled" if line.reserved_pico else ""
    yield _plain(f"{dollars(line.spent_pico)} spent this month{held}")
    if one.month_end is not None:
        over = ": the cap comes first, and it is hard" if one.cap_ahead else ""
        yield _plain(
            f"by its {one.month_end.days} whole days it ends at {span_of(one.month_end)} (four of five months){over}"
        )
    elif line.kind in (BudgetKind.FLEET, BudgetKind.TRACK):
        yield _plain("where the month ends is not known yet: that needs five whole days with a cost")
    if one.dollar is not None and one.state is not None and one.state.tone is not Tone.OK:
        yield to_do("fleet budget")


def _gray(pool: Pool, pen: Pen) -> Iterator[Line]:
    models = ", ".join(dict.fromkeys(model for one in pool.fronts.values() for model in one.models)) or "no model"
    feeds = ", ".join(dict.fromkeys(route for one in pool.fronts.values() for route in one.feeds))
    yield _said(pool.route, gray_state(pool), f"{models}; fed by {feeds or 'nobody'}", pen)
    cap = cap_of(pool)
    at_most = "fronts differ in their cap" if cap is None else f"cap {cap * 100:g} %"
    if pool.observed is None:
        yield _plain(f"this week nothing was committed yet; {at_most}")
    else:
        eligible = f"eligible n = {pool.eligible:,}"
        between = "" if pool.interval is None else f", of them {interval(pool.interval)} (95 %)"
        yield _plain(
            f"{percent(pool.observed, 2)} of {pool.requests:,} requests ({pool.gray:,} gray), {at_most};"
            f" {eligible}{between}"
        )
    calls, failed = sum(one.calls for one in pool.fronts.values()), sum(one.failures for one in pool.fronts.values())
    why = next((one.why for one in pool.fronts.values() if one.why), "")
    verdict = gray_verdict(pool)
    if calls or why:
        rate = f"tool calls fail {percent(failed / calls)} of {calls:,}: " if calls else "tool calls: "
        yield [Cell(f"  {rate}"), Cell(*pen.state(verdict)), Cell(f"  {why}")]
    reasons = {
        name: f"{name}: {one.reason}"
        + (f", until {clock_time(one.until_seconds)} UTC" if one.until_seconds is not None else "")
        + (f", by {one.by}" if one.by else "")
        for name, one in pool.fronts.items()
        if one.state is not GrayState.ON
    }
    if reasons:
        yield _plain("; ".join(reasons.values()))
    if pool.state in (GrayState.DISABLED, GrayState.SUSPENDED):
        yield to_do(f"fleet gray enable {pool.route}")
    elif pool.state is GrayState.ROLLED_BACK:
        yield to_do(f"fleet gray enable {pool.route} --ticket ID --harness RUN")


def _upstream(one: Upstream, pen: Pen) -> Iterator[Line]:
    now = one.now
    facts = f"{now.kind}; serves {now.serves}; for {', '.join(now.routes)}"
    yield _said(now.name, one.state, facts, pen)
    if now.reason and now.state != "ready":
        yield _plain(now.reason)
    for why in now.unwell:
        yield _plain(why)
    if one.hour is not None:
        line = one.hour.line
        told = f", {line.untold} of them told no tokens" if line.untold else ""
        yield _plain(
            f"last hour: {line.requests:,} requests, {line.broken:,} failed, {line.failed - line.broken:,} left or"
            f" refused; {count(line.prompt_tokens)} tokens in, {count(line.completion_tokens)} out{told}"
        )
    else:
        yield _plain("last hour: not known")
    if now.node and now.state in ("down", "unknown"):
        yield to_do(f"fleet doctor {now.node}")
    elif now.node and now.state in ("draining", "drained"):
        yield to_do(f"fleet resume {now.node}")


def _request(one: Request, pen: Pen) -> Iterator[Line]:
    yield _said(
        one.id, phase_of(one), f"of {one.key or 'no key'}, {one.surface}, since {seconds_text(one.seconds)}", pen
    )
    first = "" if one.first_token_seconds is None else f"; first token after {seconds_text(one.first_token_seconds)}"
    tried = f"; attempt {one.attempts}" if one.attempts > 1 else ""
    yield _plain(f"{one.model} by {one.route} at {where(one)}, in at {one.gateway}{first}{tried}")
    if one.avoided:
        yield _plain(f"kept from {', '.join(one.avoided)}")
    yield to_do(f"fleet kill {one.id}")


def _tools(one: Use, pen: Pen) -> Iterator[Line]:
    calls = f"{one.scored:,} tool calls with an outcome that counts, of {one.line.requests:,} requests"
    yield _said(one.line.names[0], None, calls, pen)
    failed = ", ".join(f"{verdict} {number}" for verdict, number in one.failures.items()) or "none"
    yield _plain(f"failed: {failed}")


def _incident(one: Incident, pen: Pen) -> Iterator[Line]:
    until = f"{datetime.fromtimestamp(one.until_seconds, UTC):%m-%d %H:%M} UTC"
    yield _said(one.name, None, f"opened by {one.by or 'somebody'}, open at {', '.join(one.open_at)}", pen)
    yield _plain(f"{dollars(one.spent_pico)} spent in its name; it ends by itself at {until}")
    yield to_do(f"fleet incident close {one.name}")


_SAYS: MappingProxyType[Section, Callable[[Any, Pen], Iterator[Line]]] = MappingProxyType(
    {
        Section.NOTES: _note,
        Section.TRACKS: _budget,
        Section.GRAY: _gray,
        Section.UPSTREAMS: _upstream,
        Section.REQUESTS: _request,
        Section.BUDGETS: _budget,
        Section.TOOLS: _tools,
        Section.INCIDENTS: _incident,
    }
)
