"""What is wrong with one node, since when, what happens next and what to do: the lines below the overview. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from fleet.control.watch.statewords import HEALTH, Tone, told
from fleet.control.watch.view import Concern, NodeRow
from fleet.tui.lines import Cell
from fleet.tui.words import to_do
from fleet.vocabulary.names import Intent
from fleet.vocabulary.units import bytes_text, seconds_text


def detail_lines(row: NodeRow | None, now: datetime, *, height: int, unicode: bool) -> list[list[Cell]]:
    """At most `height` lines: the node and its readings, then its concerns, the worst first, each with its advice."""
    if row is None:
        return []
    lines = [_head(row, unicode=unicode), *_concerns(row, now, unicode=unicode)]
    if len(lines) > height:
        return [*lines[: height - 1], [Cell(f"  and {len(lines) - height + 1} more: enter shows all", Tone.DIM.value)]]
    return lines


def _head(row: NodeRow, *, unicode: bool) -> list[Cell]:
    state = told(row)
    cells = [Cell(f"{row.node} ", "bold"), Cell(state.text(unicode=unicode), state.tone.value)]
    facts = [
        row.chip or "",
        f"macOS {row.os_version}" if row.os_version else "",
        f"{bytes_text(row.memory_total_bytes)} memory" if row.memory_total_bytes else "",
        f"{bytes_text(row.wired_headroom_bytes)} headroom of {bytes_text(row.wired_limit_bytes)}"
        if row.wired_headroom_bytes is not None
        else "",
        f"services {row.services_up}/{row.services_total}" if row.services_total else "",
        f"via {row.via}" if row.via else "",
        " ".join(row.groups),
    ]
    cells.append(Cell("  " + "  ".join(fact for fact in facts if fact), Tone.DIM.value))
    return cells


def _concerns(row: NodeRow, now: datetime, *, unicode: bool) -> Iterator[list[Cell]]:
    if row.problem and not any(one.text == row.problem for one in row.concerns):
        yield [Cell("  "), Cell(row.problem, Tone.PLAIN.value)]
        yield from _advice(row.hint or "")
    if row.intent is not Intent.SERVING:
        yield [Cell(f"  {row.intent.value}: it gets no new work", Tone.INTENT.value)]
        yield from _advice(f"fleet resume {row.node}")
    for one in row.concerns:
        own = HEALTH[one.health]
        yield [
            Cell("  "),
            Cell(own.text(unicode=unicode), own.tone.value),
            Cell(f"  {one.text}{_since(one, now)}", Tone.PLAIN.value),
        ]
        if one.next:
            yield [Cell(f"      then: {one.next}", Tone.DIM.value)]
        yield from _advice(one.hint)


def _advice(hint: str) -> Iterator[list[Cell]]:
    for line in filter(None, hint.split("\n")):
        yield to_do(line)


def _since(one: Concern, now: datetime) -> str:
    if one.gone_since is not None:
        return f"; over for {seconds_text((now - one.gone_since).total_seconds())}, watched a little longer"
    if one.since is None:
        return ""
    return f", for {seconds_text(max(0.0, (now - one.since).total_seconds()))}"
