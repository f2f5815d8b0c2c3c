"""Usage as tables, and as plain lines. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.cli.usagequestion import Show
from fleet.practice.usage import TIMES, Usage, quantile_of, tool_use
from fleet.practice.usagetable import record
from fleet.traffic.tools.score import FAILURES
from fleet.vocabulary.contracts.usage import Measure, UsageBy, UsageLine
from fleet.vocabulary.money import shown as usd_shown
from fleet.vocabulary.units import count_text, seconds_text

_MOST_LINES = 12
"""Of each section of the overview."""
_UNKNOWN = "-"

Cell = Callable[[UsageLine], str]


def usage_table(usage: Usage, show: Show, *, most: int | None = None) -> RenderableType:
    """The lines and their sum, without columns that say nothing; of more than `most` the first, of times the last."""
    query = usage.query
    between = 2 if len(query.by) < 2 else 1
    table = Table(box=None, padding=(0, between, 0, 0), show_edge=False, header_style="dim", footer_style="bold")
    table.show_footer = len(usage.lines) > 1
    total = usage.total
    columns = [(head, cell) for head, cell in _CELLS[show] if any(cell(line) for line in usage.lines)]
    for at, one in enumerate(query.by):
        table.add_column(one.value, footer="all" if at == 0 else "", overflow="fold", no_wrap=one in TIMES)
    for head, cell in columns:
        table.add_column(head, footer=cell(total), justify="right", no_wrap=True)
    lines, left = usage.lines, 0
    if most is not None and len(lines) > most:
        left = len(lines) - most
        lines = lines[-most:] if query.by[0] in TIMES else lines[:most]
    for line in lines:
        names = (_named(by, name) for by, name in zip(query.by, line.names, strict=True))
        table.add_row(*names, *(cell(line) for _, cell in columns))
    if not left:
        return table
    return Group(table, Text(f"{left} more: --by {','.join(query.by)}", style="dim"))


def overview_screen(answers: Sequence[Usage], show: Show) -> RenderableType:
    """The sum of everything in words, then a table for each way to look at it."""
    whole, *sections = answers
    parts: list[RenderableType] = [Text(line) for line in _words(whole.total)]
    for section in sections:
        if any(any(line.names) for line in section.lines):
            parts += [Text(), usage_table(section, show, most=_MOST_LINES)]
    return Group(*parts)


def plain_lines(usage: Usage) -> Iterator[str]:
    """One line each, `name=value` with blanks between; what is unknown is not said."""
    for line in usage.lines or ((usage.total,) if not usage.query.by else ()):
        facts = record(usage.query.by, line)
        yield " ".join(f"{name}={_word(value)}" for name, value in facts.items() if value is not None)


def _words(line: UsageLine) -> Iterator[str]:
    yield (
        f"{line.requests:,} requests ({line.failed:,} failed), {count_text(line.prompt_tokens)} tokens in"
        f" ({_share(line.cached_tokens, line.prompt_tokens)} cached), {count_text(line.completion_tokens)} out,"
        f" {usd_shown(line.spent_pico)} USD"
    )
    yield (
        f"prompts {_spread(line, Measure.PROMPT_TOKENS, _tokens)} tokens, answers"
        f" {_spread(line, Measure.COMPLETION_TOKENS, _tokens)} (P50 / P95)"
    )
    yield (
        f"{line.sessions:,} conversations, {_spread(line, Measure.TURNS, _turns)} requests each (P50 / P95);"
        f" {_share(line.reasoned, line.requests) if line.reasoned else _UNKNOWN} of answers were reasoned"
    )
    tools = tool_use(line)
    yield (
        f"{line.with_tools:,} requests offered tools: {_rate(tools.call_rate)} used them,"
        f" {_rate(tools.error_rate)} of {tools.successes + tools.failures:,} calls failed"
    )
    if line.untold:
        yield f"{line.untold:,} good answers did not say their tokens: they are not in the sums"


def _named(by: UsageBy, name: str) -> str:
    if name:
        return name
    return "not told" if by is UsageBy.REASONING else _UNKNOWN


def _quantile(measure: Measure, share: float, text: Callable[[float], str]) -> Cell:
    def cell(line: UsageLine) -> str:
        value = quantile_of(line, measure, share)
        return _UNKNOWN if value is None else text(value)

    return cell


def _spread(line: UsageLine, measure: Measure, text: Callable[[float], str]) -> str:
    return f"{_quantile(measure, 0.5, text)(line)} / {_quantile(measure, 0.95, text)(line)}"


def _tokens(value: float) -> str:
    return count_text(round(value))


def _turns(value: float) -> str:
    return f"{round(value):,}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole * 100:.0f} %" if whole else _UNKNOWN


def _rate(rate: float | None) -> str:
    return _UNKNOWN if rate is None else f"{rate * 100:.1f} %"


def _summed(tokens: int, line: UsageLine) -> str:
    """A sum of tokens; unknown where nobody told any."""
    return _UNKNOWN if not tokens and line.untold else count_text(tokens)


def _worst(line: UsageLine) -> str:
    failures = {verdict: count for verdict, count in line.verdicts.items() if verdict in FAILURES}
    worst = max(failures, key=lambda verdict: failures[verdict], default=None)
    return "" if worst is None else f"{worst.value} {failures[worst]:,}"


def _word(value: object) -> str:
    """A value without blanks."""
    return "_".join(str(value).split()) or _UNKNOWN


_REQUESTS: tuple[str, Cell] = ("requests", lambda line: f"{line.requests:,}")
_CELLS: dict[Show, tuple[tuple[str, Cell], ...]] = {
    Show.TOKENS: (
        _REQUESTS,
        ("failed", lambda line: f"{line.failed:,}" if line.failed else ""),
        ("in", lambda line: _summed(line.prompt_tokens, line)),
        ("cached", lambda line: _share(line.cached_tokens, line.prompt_tokens) if line.cached_tokens else ""),
        ("out", lambda line: _summed(line.completion_tokens, line)),
        ("reason", lambda line: _share(line.reasoned, line.requests) if line.reasoned else ""),
        ("USD", lambda line: usd_shown(line.spent_pico)),
        ("held", lambda line: usd_shown(line.reserved_pico) if line.reserved_pico else ""),
    ),
    Show.TOOLS: (
        _REQUESTS,
        ("with tools", lambda line: f"{line.with_tools:,}"),
        ("used", lambda line: _rate(tool_use(line).call_rate)),
        ("calls", lambda line: f"{tool_use(line).successes + tool_use(line).failures:,}"),
        ("failed", lambda line: _rate(tool_use(line).error_rate)),
        ("most of all", _worst),
    ),
    Show.LENGTHS: (
        _REQUESTS,
        ("prompt P50", _quantile(Measure.PROMPT_TOKENS, 0.5, _tokens)),
        ("P95", _quantile(Measure.PROMPT_TOKENS, 0.95, _tokens)),
        ("answer P50", _quantile(Measure.COMPLETION_TOKENS, 0.5, _tokens)),
        ("P95", _quantile(Measure.COMPLETION_TOKENS, 0.95, _tokens)),
        ("sessions", lambda line: f"{line.sessions:,}" if line.sessions else ""),
        ("turns P50", _quantile(Measure.TURNS, 0.5, _turns)),
        ("P95", _quantile(Measure.TURNS, 0.95, _turns)),
    ),
    Show.TIMES: (
        _REQUESTS,
        ("answer P50", _quantile(Measure.SECONDS, 0.5, seconds_text)),
        ("P95", _quantile(Measure.SECONDS, 0.95, seconds_text)),
        ("first P50", _quantile(Measure.FIRST_TOKEN_SECONDS, 0.5, seconds_text)),
        ("P95", _quantile(Measure.FIRST_TOKEN_SECONDS, 0.95, seconds_text)),
        ("tool P50", _quantile(Measure.TOOLS_AT_SECONDS, 0.5, seconds_text)),
        ("P95", _quantile(Measure.TOOLS_AT_SECONDS, 0.95, seconds_text)),
        ("busy", lambda line: seconds_text(line.busy_seconds)),
    ),
}
