"""The budget as a table, and as plain lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.control.actions.budget import Budget
from fleet.traffic.budget.projection import Projection
from fleet.vocabulary.contracts.policy_admin import BudgetKind, BudgetLine, DollarState
from fleet.vocabulary.money import PICO_PER_USD, shown, usd
from fleet.vocabulary.units import count_text

WARN_RATIO, FULL_RATIO = 0.8, 1.0
_BAR_CELLS = 10
_STATES = {
    "ok": ("●", "+", "green"),
    "warn": ("▲", "!", "yellow"),
    "FULL": ("■", "X", "bold red"),
    "": (" ", " ", "dim"),
}
_DOLLAR = {
    DollarState.NORMAL: ("normal", "green"),
    DollarState.DOWNGRADED: ("downgraded", "yellow"),
    DollarState.CAPPED: ("capped", "bold red"),
}
_ALWAYS = (BudgetKind.FLEET, BudgetKind.TRACK, BudgetKind.TEAM)


def used_ratio(line: BudgetLine) -> float | None:
    """How much of its cap a line has used or holds, the fuller of money and tokens; None without a cap."""
    parts = [
        (line.spent_pico + line.reserved_pico, line.cap_pico),
        (line.tokens, line.cap_tokens),
    ]
    ratios = [used / cap if cap else (1.0 if used else 0.0) for used, cap in parts if cap is not None]
    return max(ratios, default=None)


def state_of(line: BudgetLine) -> str:
    """`ok`, `warn` from four fifths on, `FULL`, or nothing for what has no cap."""
    ratio = used_ratio(line)
    if ratio is None:
        return ""
    return "FULL" if ratio >= FULL_RATIO else "warn" if ratio >= WARN_RATIO else "ok"


def shown_lines(budget: Budget, *, every: bool) -> Iterator[BudgetLine]:
    """The lines that a person is shown: of keys and tickets only those that have a cap or a use, unless `every`."""
    for line in budget.lines:
        if every or line.kind in _ALWAYS or (line.cap_pico is not None and line.spent_pico + line.reserved_pico):
            yield line


def budget_screen(budget: Budget, *, unicode: bool, every: bool) -> RenderableType:
    """Head, table, and what to know below it."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim", expand=False)
    for name, justify in (
        ("", "left"), ("SPENT USD", "right"), ("HELD", "right"), ("CAP", "right"), ("USED", "left"),
        ("TOKENS", "right"), ("REQUESTS", "right"), ("MONTH END", "left"),
    ):  # fmt: skip
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for line in shown_lines(budget, every=every):
        table.add_row(*_cells(line, unicode=unicode, month_end=_end(budget.month_end(line))))
    return Group(_head(budget), table, *(Text(note) for note in notes(budget)))


def budget_lines(budget: Budget, *, every: bool) -> Iterator[str]:
    """One fact per line: kind, name, state, spent, held, cap in USD, tokens, cap of tokens, requests, month end."""
    for line in shown_lines(budget, every=every):
        cap = "-" if line.cap_pico is None else shown(line.cap_pico)
        tokens = "-" if line.cap_tokens is None else str(line.cap_tokens)
        end = _end(budget.month_end(line)) or "-"
        requests = "-" if line.requests is None else str(line.requests)
        yield (
            f"{line.kind} {line.name} {state_of(line).lower() or '-'} {shown(line.spent_pico)} "
            f"{shown(line.reserved_pico)} {cap} {line.tokens} {tokens} {requests} {end}"
        )
    yield from notes(budget)


def notes(budget: Budget) -> Iterator[str]:
    """What the sums do not say."""
    for front in budget.fronts:
        if front.ledger_problem:
            yield f"{front.node}: paid routes are closed: {front.ledger_problem}"
        if front.dollar in (DollarState.CAPPED, DollarState.DOWNGRADED):
            until = _day(front.dollar_until_seconds)
            yield f"{front.node}: the dollar track is {front.dollar}{until}: {front.dollar_reason}"
        if front.unsettled:
            yield f"{front.node}: the cost of {front.unsettled} attempts is not known yet; it is held as reserved"
    yield from budget.warnings


def _head(budget: Budget) -> Text:
    begins, ends = budget.begins_seconds, budget.ends_seconds
    day = 86400
    passed = min(max(budget.at_seconds - begins, 0.0), ends - begins)
    head = Text(f"{budget.month}", style="bold")
    head.append(f"  {passed / day:.1f} of {(ends - begins) / day:.0f} days, {budget.budget_tz}", style="dim")
    if len(budget.fronts) > 1:
        parts = ", ".join(f"{front.node} {front.share}" for front in budget.fronts)
        head.append(f"  parts of each cap: {parts}", style="dim")
    if budget.dollar is not None:
        word, style = _DOLLAR[budget.dollar]
        head.append("  dollar track ", style="dim")
        head.append(word, style=style)
    return head


def _cells(line: BudgetLine, *, unicode: bool, month_end: str) -> list[Text]:
    state = state_of(line)
    shape, plain, style = _STATES[state]
    name = Text(f"{shape if unicode else plain} ", style=style)
    name.append(_named(line), style="bold" if line.kind in (BudgetKind.FLEET, BudgetKind.TRACK) else "")
    cap = "-" if line.cap_pico is None else _cents(line.cap_pico)
    tokens = count_text(line.tokens) + (f" of {count_text(line.cap_tokens)}" if line.cap_tokens is not None else "")
    return [
        name,
        Text(_cents(line.spent_pico)),
        Text(_cents(line.reserved_pico) if line.reserved_pico else "-", style="" if line.reserved_pico else "dim"),
        Text(cap, style="" if line.cap_pico is not None else "dim"),
        _bar(used_ratio(line), state, style, unicode=unicode),
        Text(tokens),
        Text("-" if line.requests is None else f"{line.requests:,}"),
        Text(month_end or "-", style="" if month_end else "dim"),
    ]


def _cents(pico: int) -> str:
    """USD in whole cents; what is less than one is not told as none."""
    return "<0.01" if 0 < pico < PICO_PER_USD // 100 else f"{usd(pico):,.2f}"


def _end(found: Projection | None) -> str:
    """Four of five months end within it."""
    if found is None:
        return ""
    return f"{found.low / PICO_PER_USD:,.0f}-{found.high / PICO_PER_USD:,.0f}"


def _named(line: BudgetLine) -> str:
    return "fleet" if line.kind is BudgetKind.FLEET else f"{line.kind} {line.name}"


def _bar(ratio: float | None, state: str, style: str, *, unicode: bool) -> Text:
    if ratio is None:
        return Text("-", style="dim")
    full = min(_BAR_CELLS, int(ratio * _BAR_CELLS))
    on, off = ("█", "░") if unicode else ("#", ".")
    text = Text(on * full + off * (_BAR_CELLS - full), style=style)
    text.append(f" {ratio * 100:.0f} %{'' if state == 'ok' else ' ' + state}")
    return text


def _day(seconds: float | None) -> str:
    return "" if seconds is None else f" until {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
