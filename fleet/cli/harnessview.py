"""A harness run and a verdict as tables, and as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.cli.lines import names_text
from fleet.practice.harness.compare import Verdict, Word
from fleet.practice.harness.difference import Difference, Side
from fleet.practice.harness.report import HarnessReport, Share, TargetReport
from fleet.vocabulary.money import PICO_PER_USD, shown
from fleet.vocabulary.units import count_text, seconds_text

_COLUMNS = ("target", "tier", "passed", "(95 %)", "tools", "P50", "P95", "1st token", "tokens", "USD a run")
_DISPENSABLE = ("tokens", "1st token", "tier")
"""What is left out where a terminal is too narrow, the first one first."""
_WORDS = {
    Word.PROMOTE: ("▲", "^", "promote", "bold green"),
    Word.HOLD: ("●", "=", "hold", "bold"),
    Word.DEMOTE: ("▼", "v", "demote", "bold red"),
    Word.NO_VERDICT: ("○", "o", "no verdict", "bold yellow"),
}
_SIDES = {Side.BETTER: "green", Side.WORSE: "red", Side.SAME: "", Side.UNKNOWN: "dim"}
_WHATS = {"answers": "answers", "tools": "tool calls", "cost": "cost, USD", "p95": "P95"}


def usd_text(pico: int | None) -> str:
    """Money of single prompts: small amounts keep their digits. Unknown is `-`."""
    if pico is None:
        return "-"
    return shown(pico) if pico >= PICO_PER_USD // 100 or pico == 0 else f"{pico / PICO_PER_USD:.6f}"


def report_view(report: HarnessReport, *, unicode: bool, width: int) -> RenderableType:
    """The head, a row per target, a table of categories, and what is missing; in `width` columns."""
    parts: list[RenderableType] = [Text(_head(report), style="bold")]
    found = [target for target in report.targets if target.measured]
    if found:
        parts += [Text(""), _targets(found, width=width)]
        if len({part.category for target in found for part in target.categories}) > 1:
            parts += [Text(""), _categories(found)]
    notes = list(_notes(report, unicode=unicode))
    return Group(*parts, *([Text("")] if notes else []), *notes)


def markdown_of(report: HarnessReport) -> Iterator[str]:
    """The same for a ticket or a wiki."""
    yield f"## {_head(report)}"
    yield ""
    yield "| " + " | ".join(_COLUMNS) + " |"
    yield "|" + "---|" * len(_COLUMNS)
    for target in report.targets:
        if target.measured:
            yield "| " + " | ".join(_cells(target)) + " |"
        else:
            yield f"| {target.name} | {_tier(target)} | not measured: {target.why} |" + " |" * (len(_COLUMNS) - 3)
    yield ""
    for target in report.targets:
        if target.failed:
            yield f"- {target.name} failed: {', '.join(target.failed)}"


def verdict_view(verdict: Verdict, *, unicode: bool) -> RenderableType:
    """The advice, why, and the figures."""
    shape, plain, word, style = _WORDS[verdict.word]
    head = Text(f"{shape if unicode else plain} {word}", style=style)
    head.append(f"  {verdict.b} (B)", style="bold")
    head.append(f"  next to {verdict.a} (A)", style="dim")
    parts: list[RenderableType] = [head, *(Text(f"  {reason}") for reason in verdict.reasons)]
    if verdict.differences:
        parts += [Text(""), _differences(verdict)]
        parts += [
            Text(f"{_WHATS[one.what]}: {one.why}", style="dim")
            for one in verdict.differences
            if one.why and one.side not in (Side.BETTER, Side.WORSE)
        ]
    terms = verdict.terms
    said = (
        f"What counts: {100 * terms.share_margin:.0f} points of answers or tool calls, "
        f"{100 * terms.cost_margin:.0f} % of cost, {100 * terms.p95_margin:.0f} % of P95. "
        f"{100 * terms.confidence:.0f} % intervals of a paired bootstrap "
        f"({terms.resamples:,} resamples, seed {terms.seed}) and an exact sign test."
    )
    return Group(*parts, Text(""), Text(said, style="dim"))


# --- the report -------------------------------------------------------------------------------------------------------


def _head(report: HarnessReport) -> str:
    at = datetime.fromtimestamp(report.started_milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    repeats = f", each {report.repeats} times" if report.repeats > 1 else ""
    return f"{report.run}: {report.suite}, {report.prompts} prompts{repeats}, begun {at}"


def _targets(found: list[TargetReport], *, width: int) -> Table:
    rows = [_cells(target) for target in found]
    columns = _fitting([_COLUMNS, *rows], width)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for at in columns:
        name = _COLUMNS[at]
        table.add_column(name, justify="left" if name in ("target", "tier", "(95 %)") else "right", no_wrap=True)
    for cells in rows:
        table.add_row(*(cells[at] for at in columns))
    return table


def _fitting(rows: list[tuple[str, ...]], width: int) -> list[int]:
    """The columns that fit, by their index."""
    columns = list(range(len(_COLUMNS)))
    for name in _DISPENSABLE:
        if sum(2 + max(len(row[at]) for row in rows) for at in columns) - 2 <= width:
            break
        columns.remove(_COLUMNS.index(name))
    return columns


def _cells(target: TargetReport) -> tuple[str, ...]:
    return (
        target.name,
        _tier(target),
        f"{target.passed.hits:g}/{target.passed.count}",
        _bounds(target.passed),
        f"{target.tools.hits:g}/{target.tools.count}" if target.tools.count else "-",
        seconds_text(target.p50_seconds),
        seconds_text(target.p95_seconds),
        seconds_text(target.p50_first_token_seconds),
        _tokens(target),
        usd_text(target.pass_pico),
    )


def _tokens(target: TargetReport) -> str:
    """Of prompts and of answers."""
    if target.prompt_tokens is None or target.completion_tokens is None:
        return "-"
    return f"{count_text(target.prompt_tokens)}+{count_text(target.completion_tokens)}"


def _tier(target: TargetReport) -> str:
    return target.tier.value if target.tier else "-"


def _bounds(share: Share) -> str:
    return "-" if share.low is None or share.high is None else f"{100 * share.low:.0f}-{100 * share.high:.0f} %"


def _categories(found: list[TargetReport]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("passed by category", no_wrap=True)
    for target in found:
        table.add_column(target.name, justify="right", no_wrap=True)
    for number, part in enumerate(found[0].categories):
        shares = [target.categories[number].passed for target in found]
        if any(share.count for share in shares):
            table.add_row(part.category, *(f"{share.hits:g}/{share.count}" if share.count else "-" for share in shares))
    return table


def _notes(report: HarnessReport, *, unicode: bool) -> Iterator[Text]:
    for target in report.targets:
        if not target.measured:
            yield Text(f"{'○' if unicode else 'o'} {target.name} was not measured: {target.why}", style="yellow")
        elif target.why:
            wanted = report.prompts * report.repeats
            yield Text(f"{target.name}: {wanted - target.tries} of {wanted} are missing: {target.why}", style="yellow")
    for target in report.targets:
        if target.failed and target.measured:
            yield Text(f"{target.name} failed: {names_text(target.failed)}", style="dim")
    if report.spent_pico or report.ceiling_pico is not None:
        ceiling = "" if report.ceiling_pico is None else f" of at most {usd_text(report.ceiling_pico)}"
        yield Text(f"spent: {usd_text(report.spent_pico)}{ceiling} USD", style="dim")
    if not report.complete:
        yield Text(f"go on with: fleet harness run --resume {report.run}", style="dim")


# --- the verdict ------------------------------------------------------------------------------------------------------


def _differences(verdict: Verdict) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    names = ("", "A", "B", "B next to A", f"{100 * verdict.terms.confidence:.0f} %", "prompts", "")
    for at, name in enumerate(names):
        table.add_column(name, justify="left" if at in (0, len(names) - 1) else "right", no_wrap=at < len(names) - 1)
    for one in verdict.differences:
        table.add_row(*_difference(one), style=_SIDES[one.side])
    return table


def _difference(one: Difference) -> tuple[str, ...]:
    side = one.side.value
    if one.a is None or one.b is None:
        return _WHATS[one.what], "-", "-", "-", "-", str(one.count), side
    if one.what in ("answers", "tools"):
        figures = [f"{100 * value:.0f} %" for value in (one.a, one.b)]
        change = f"{100 * (one.change or 0):+.0f} points"
        bounds = f"{100 * (one.low or 0):+.0f} to {100 * (one.high or 0):+.0f}"
    else:
        money = one.what == "cost"
        figures = [usd_text(round(value)) if money else seconds_text(value) for value in (one.a, one.b)]
        change = "-" if one.change is None else f"× {one.change:.2f}"
        bounds = "-" if one.low is None or one.high is None else f"{one.low:.2f} to {one.high:.2f}"
    return _WHATS[one.what], *figures, change, bounds, str(one.count), side
