"""The picture of a run: one line a node, never more lines than the terminal has, the rest in one line of counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.cli.runwords import SHAPES
from fleet.control.watch.flow import Flow
from fleet.control.watch.runboard import Board, Row, Standing
from fleet.control.watch.runwords import event_words, far_words, meanwhile, took_text

FRAMES_A_SECOND = 8
_WIDEST = 120
_ROOMY = 100
_BAR = 16
_SHORT_BAR = 10
_NAME = 24
_FEW = 5
_SPARE_LINES = 3
_COUNTED = {
    Standing.FAILED: ("failed", "red"),
    Standing.WORKS: ("at work", "cyan"),
    Standing.WAITS: ("waiting", "dim"),
    Standing.FINE: ("done", "green"),
}


@dataclass(frozen=True, kw_only=True)
class Marks:
    """The characters of a picture; a terminal that is not UTF-8 has others."""

    frames: str = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
    bar: str = "━"
    rest: str = "─"
    waits: str = "·"
    between: str = " · "


ASCII = Marks(frames="|/-\\", bar="=", rest="-", waits=".", between=", ")


def picture(board: Board, now: float, *, width: int, height: int, marks: Marks, over: bool = False) -> RenderableType:
    """The board as it is now; when the run is `over`, without what it said meanwhile."""
    many = len(board.rows) > _FEW
    room = max(1, height - _SPARE_LINES - (1 if many else 0))
    shown = board.fitting(room)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.width = min(width, _WIDEST)
    table.add_column(no_wrap=True, max_width=_NAME, overflow="ellipsis")
    table.add_column(no_wrap=True, min_width=11)
    table.add_column(no_wrap=True, min_width=6, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for row in shown:
        table.add_row(Text(row.name, style="bold"), *_cells(row, now, roomy=table.width >= _ROOMY, marks=marks))
    below = [_counts(board, now, marks)] if many else []
    if board.note and not over:
        below.append(Text(board.note, style="dim"))
    for line in below:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(table, *below)


def _counts(board: Board, now: float, marks: Marks) -> Text:
    """All nodes by how they do, and how long the run takes so far."""
    numbers = Counter(row.standing for row in board.rows.values())
    parts = [
        Text(f"{numbers[standing]} {word}", style=style)
        for standing, (word, style) in _COUNTED.items()
        if numbers[standing]
    ]
    if board.began is not None:
        parts.append(Text(took_text(now - board.began), style="dim"))
    return Text(marks.between, style="dim").join(parts)


def _cells(row: Row, now: float, *, roomy: bool, marks: Marks) -> tuple[Text, Text, Text]:
    event = row.event
    if event is None:
        return Text(f"{marks.waits} waits", style="dim"), Text(""), Text("")
    took = Text(took_text(row.seconds(now)), style="dim")
    if event.outcome:
        shape, style = SHAPES[event.outcome]
        return Text(f"{shape} {event.outcome}", style=style), took, Text(event.text, style="dim")
    frame = marks.frames[int(now * FRAMES_A_SECOND) % len(marks.frames)]
    style = "red" if row.trouble else "cyan"
    return Text(f"{frame} {event.phase}", style=style), took, _doing(row, now, roomy=roomy, marks=marks)


def _doing(row: Row, now: float, *, roomy: bool, marks: Marks) -> Text:
    event, flow = row.event, row.flow
    if event is None:
        return Text("")
    words = event_words(event)
    if flow.total:
        return _bar(flow, _BAR if roomy else _SHORT_BAR, marks).append(
            far_words(flow, words, now, roomy=roomy, between=marks.between)
        )
    if event.status == "failed":
        return Text(words, style="red")
    return Text(words or meanwhile(event.phase), style="" if words else "dim")


def _bar(flow: Flow, length: int, marks: Marks) -> Text:
    done = round(min(flow.done, flow.total) / flow.total * length)
    bar = Text(marks.bar * done, style="cyan").append(marks.rest * (length - done), style="bright_black")
    return bar.append("  ", style="default")
