"""Routes, explanations and live requests as tables of at most a terminal's width, and as plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.control.actions.requests import Request, RequestTable
from fleet.vocabulary.contracts.gateway_admin import Explanation, RouteReports, UpstreamReport
from fleet.vocabulary.names import Lane
from fleet.vocabulary.units import seconds_text

_WIDE = 108
_STATES = {
    "ready": ("●", "+", "green"),
    "full": ("▲", "!", "yellow"),
    "unknown": ("?", "?", "cyan"),
    "down": ("■", "X", "bold red"),
    "draining": ("◌", "~", "yellow"),
    "drained": ("○", "o", "magenta"),
}
_STANDINGS = {"less": "gets less new work", "none": "gets no new work while others serve"}
_PHASES = {"queued": "yellow", "waiting": "cyan", "answering": "green"}
_UNKNOWN = Text("-", style="dim")


def routes_screen(report: RouteReports, *, unicode: bool = True) -> RenderableType:
    """Every route with its upstreams in order of preference; below, why one is not ready, or gets less."""
    table = _table()
    for column in ("ROUTE", "TRACK", "UPSTREAM", "STATE"):
        table.add_column(column, no_wrap=column != "UPSTREAM", overflow="fold")
    for column in ("FLIGHT", "TOKENS", "CONTEXT"):
        table.add_column(column, no_wrap=True, justify="right")
    reasons: dict[str, UpstreamReport] = {}
    for number, route in enumerate(report.routes):
        for place, upstream in enumerate(route.upstreams):
            head = (Text(route.name, style="bold"), Text(route.track.value)) if place == 0 else (Text(), Text())
            if number == 0 and place == 0:
                head[0].append(" *", style="dim")
            table.add_row(*head, *_cells(upstream, unicode=unicode), _count(upstream.context_tokens))
            if (upstream.reason and upstream.state != "ready") or upstream.standing != "full":
                reasons[upstream.name] = upstream
        if not route.upstreams:
            table.add_row(
                Text(route.name, style="bold"), Text(route.track.value), Text("no upstream", style="bold red")
            )
    title = Text(f"{report.node}", style="bold").append(f"  {_many(len(report.routes), 'route')}", style="not bold")
    title.append("  * = the default", style="not bold dim")
    lines = [_reason(upstream, unicode=unicode) for upstream in reasons.values()]
    return Group(title, table, *([Text(""), *lines] if lines else []))


def routes_lines(report: RouteReports) -> Iterator[str]:
    """One upstream of a route per line."""
    for route in report.routes:
        for place, one in enumerate(route.upstreams, 1):
            reason = f" {one.reason}" if one.reason else ""
            health = f" {one.standing}: {'; '.join(one.unwell)}" if one.standing != "full" else ""
            yield (
                f"{route.name} {route.track} {place} {one.name} {one.state} {one.in_flight}/{one.max_in_flight}"
                f" {one.outstanding_tokens}{reason}{health}"
            )


def explanation_screen(found: Explanation, *, unicode: bool = True) -> RenderableType:
    """The order in which upstreams would be asked now, each with the sentence why."""
    title = Text(found.route, style="bold").append(f" ({found.track.value}) on {found.node}", style="not bold")
    title.append(f": {_many(found.prompt_tokens, 'prompt token')}", style="not bold")
    if found.output_tokens:
        title.append(f", up to {found.output_tokens:,} to come", style="not bold")
    table = _table()
    table.add_column("", no_wrap=True)
    table.add_column("UPSTREAM", overflow="fold")
    table.add_column("STATE", no_wrap=True)
    table.add_column("FLIGHT", no_wrap=True, justify="right")
    table.add_column("TOKENS", no_wrap=True, justify="right")
    table.add_column("WHY", overflow="fold", min_width=24)
    for place, upstream in _in_order(found):
        why = found.reasons.get(upstream.name) or upstream.reason
        table.add_row(Text(place, style="bold"), *_cells(upstream, unicode=unicode), Text(why))
    refused = (
        [Text("refused: ", style="bold red").append(found.refused, style="not bold default")] if found.refused else []
    )
    return Group(title, table, *refused)


def explanation_lines(found: Explanation) -> Iterator[str]:
    """One upstream per line, in the order in which they would be asked; `-` = it would not."""
    yield f"route {found.route} {found.track} prompt_tokens {found.prompt_tokens} output_tokens {found.output_tokens}"
    for place, one in _in_order(found):
        yield f"{place} {one.name} {one.state} {found.reasons.get(one.name) or one.reason}".rstrip()
    if found.refused:
        yield f"refused {found.refused}"


def requests_screen(table: RequestTable, *, width: int) -> RenderableType:
    """The requests in flight, the oldest first."""
    wide = width >= _WIDE
    shown = _table()
    shown.add_column("ID", no_wrap=True, min_width=10, max_width=36 if wide else 12, overflow="ellipsis")
    shown.add_column("KEY", no_wrap=True, max_width=16 if wide else 8, overflow="ellipsis")
    if wide:
        shown.add_column("SURFACE", no_wrap=True, max_width=12, overflow="ellipsis")
    shown.add_column("ROUTE", no_wrap=True, max_width=20 if wide else 11, overflow="ellipsis")
    shown.add_column("UPSTREAM", no_wrap=True, max_width=34 if wide else 16, overflow="ellipsis")
    shown.add_column("PHASE", no_wrap=True, min_width=9)
    for column in ("TIME", "IN", "OUT"):
        shown.add_column(column, no_wrap=True, justify="right")
    if wide:
        shown.add_column("LANE", no_wrap=True)
    for one in table.requests:
        cells = [Text(one.id), Text(one.key)]
        cells += [Text(one.surface)] if wide else []
        cells += [Text(one.route), Text(_where(one)), _phase(one), Text(_age(one.seconds))]
        cells += [_count(one.prompt_tokens), _count(one.output_chunks)]
        cells += [Text(one.lane.value)] if wide else []
        shown.add_row(*cells, style="dim" if one.lane is Lane.BATCH else None)
    title = Text(_many(len(table.requests), "request"), style="bold").append(" in flight", style="not bold")
    return Group(title, shown) if table.requests else title


def requests_lines(table: RequestTable) -> Iterator[str]:
    """One request per line: id, key, surface, route, upstream, phase, seconds, tokens in, chunks out, lane."""
    for one in table.requests:
        phase = one.phase if one.edge_phase in (None, one.phase) else f"{one.phase}/{one.edge_phase}"
        yield (
            f"{one.id} {one.key or '-'} {one.surface} {one.route} {_where(one)} {phase} {one.seconds:.1f}"
            f" {one.prompt_tokens} {one.output_chunks} {one.lane}"
        )


def _table() -> Table:
    return Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="dim", expand=False)


def _cells(upstream: UpstreamReport, *, unicode: bool) -> tuple[Text, Text, Text, Text]:
    flight = f"{upstream.in_flight}/{upstream.max_in_flight}" if upstream.max_in_flight else str(upstream.in_flight)
    return Text(upstream.name), _state(upstream, unicode=unicode), Text(flight), _count(upstream.outstanding_tokens)


def _state(upstream: UpstreamReport, *, unicode: bool) -> Text:
    shape, ascii_shape, style = _STATES.get(upstream.state, ("?", "?", "cyan"))
    text = Text(f"{shape if unicode else ascii_shape} {upstream.state}", style=style)
    return text if upstream.standing == "full" else text.append(f", {upstream.standing}", style="yellow")


def _reason(upstream: UpstreamReport, *, unicode: bool) -> RenderableType:
    line = _state(upstream, unicode=unicode)
    line.plain = line.plain.split(" ")[0] + " "
    why = [upstream.reason] if upstream.reason and upstream.state != "ready" else []
    if upstream.standing != "full":
        why.append(f"{_STANDINGS.get(upstream.standing, upstream.standing)}: {'; '.join(upstream.unwell)}")
    line.append(upstream.name, style="bold default").append(f"  {'; '.join(why)}", style="not bold default")
    return line


def _in_order(found: Explanation) -> Sequence[tuple[str, UpstreamReport]]:
    known = {upstream.name: upstream for upstream in found.upstreams}
    asked = [(str(place), known[name]) for place, name in enumerate(found.attempts, 1) if name in known]
    return [*asked, *(("-", upstream) for upstream in found.upstreams if upstream.name not in found.attempts)]


def _where(one: Request) -> str:
    """Which upstream of which node: an edge's is called NODE/MODEL already."""
    if not one.upstream:
        return "-"
    named = not one.node or one.upstream.startswith(f"{one.node}/")
    return one.upstream if named else f"{one.upstream}@{one.node}"


def _phase(one: Request) -> Text:
    text = Text(one.phase, style=_PHASES.get(one.phase, ""))
    if one.edge_phase not in (None, one.phase):
        text.append(f"/{one.edge_phase}", style="dim")
    return text


def _count(number: int | None) -> Text:
    """A number in at most five characters: 812, 4.1k, 92k, 1.2M."""
    if number is None:
        return _UNKNOWN
    if number < 1000:
        return Text(str(number))
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if number >= size:
            value = number / size
            return Text(f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}")
    return Text(str(number))


def _age(seconds: float) -> str:
    return seconds_text(seconds) if seconds < 60 else seconds_text(seconds).replace(" ", "")


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
