"""Before and after, side by side, and all that they rest on. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fleet.practice.whatif.outcome import Row, WhatIf
from fleet.practice.whatif.prices import plain
from fleet.vocabulary.money import shown, usd
from fleet.vocabulary.units import count_text

_UNKNOWN = "?"


def whatif_screen(found: WhatIf) -> RenderableType:
    """The table, the verdict, then every assumption."""
    return Group(
        Text(found.title, style="bold"),
        _table(found),
        *(Text(line, style="bold") for line in _verdict(found)),
        *_claims(found),
        *_list("what this rests on", found.assumptions),
        *_sways(found),
        *_list("what the source does not state", found.not_stated),
        *_list("to note", found.notes),
    )


def _table(found: WhatIf) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim", footer_style="bold")
    table.show_footer = True
    table.add_column("", footer="all", overflow="fold")
    columns: tuple[tuple[str, str], ...] = (
        ("before: tokens", ""),
        ("USD", _money(found.before_pico)),
        ("after: tokens", ""),
        ("USD", _money(found.after_pico)),
    )
    for head, footer in columns:
        table.add_column(head, footer=footer, justify="right", no_wrap=True)
    before, after = {row.name: row for row in found.before}, {row.name: row for row in found.after}
    for name in dict.fromkeys([*before, *after]):
        table.add_row(name, *_cells(before.get(name)), *_cells(after.get(name)))
    return table


def _cells(row: Row | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    tokens = "" if row.tokens is None else count_text(row.tokens)
    share = "" if row.share is None else f" ({plain(row.share * 100)} %)"
    return f"{tokens}{share}", _money(row.pico)


def _verdict(found: WhatIf) -> Iterator[str]:
    before, after, change = found.before_pico, found.after_pico, found.change
    words = f"{_money(before)} -> {_money(after)} USD"
    yield words if change is None else f"{words} ({change * 100:+.1f} %)"
    if found.unknown:
        yield f"no price is known for {', '.join(found.unknown)}: --price MODEL=IN,OUT states one"
    if found.span is not None:
        yield f"with what is assumed at its bounds: {_money(found.span.low_pico)} to {_money(found.span.high_pico)} USD"


def _claims(found: WhatIf) -> Iterator[Text]:
    for claim in found.claims:
        reckoned = found.before_pico if claim.name == "before" else found.after_pico
        words = f"{claim.name}: {claim.said_by} says {_money(claim.pico)} USD"
        if reckoned is not None and claim.pico:
            words += f", {(reckoned - claim.pico) / claim.pico * 100:+.1f} % from it here"
        if found.span is not None and claim.name == "after":
            inside = found.span.low_pico <= claim.pico <= found.span.high_pico
            words += "; it is within the bounds" if inside else "; NOT within the bounds"
        yield Text(words)


def _sways(found: WhatIf) -> Iterator[RenderableType]:
    if not found.sways:
        return
    yield Text()
    yield Text("what each of them alone makes of the sum after", style="bold")
    table = Table(box=None, padding=(0, 2, 0, 2), show_edge=False, header_style="dim")
    table.add_column("", overflow="fold")
    for head in ("at", "USD", "at", "USD"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in sorted(found.sways, key=lambda one: -abs(one.high_pico - one.low_pico)):
        table.add_row(one.name, one.low, _money(one.low_pico), one.high, _money(one.high_pico))
    yield table


def _list(head: str, lines: tuple[str, ...]) -> Iterator[RenderableType]:
    if lines:
        yield Text()
        yield Text(head, style="bold")
        for line in lines:
            yield Padding(Text(f"- {line}"), (0, 0, 0, 2))


def _money(pico: int | None) -> str:
    if pico is None:
        return _UNKNOWN
    return f"{usd(pico):,.2f}" if abs(pico) >= 10**12 else shown(pico)
