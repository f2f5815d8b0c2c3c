"""Words that a person seeks, and texts that must fit. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from fleet.control.watch.statewords import Tone
from fleet.tui.lines import Cell

_DO = "      do:   "
_LEAST = 20


def holds(said: str, sought: str) -> bool:
    """Whether every word of `sought` is in `said` (which is in lower case); a `!` in front turns a word around."""
    for word in sought.removeprefix("/").lower().split():
        turned = len(word) > 1 and word[0] == "!"
        if (word.removeprefix("!") if turned else word) in said:
            if turned:
                return False
        elif not turned:
            return False
    return True


def fit(text: str, room: int) -> str:
    """`text` in exactly `room` cells; what is cut ends with an ellipsis."""
    return text.ljust(room) if len(text) <= room else text[: max(0, room - 1)] + "…"[:room]


def cropped(cells: Sequence[Cell], width: int) -> list[Cell]:
    """The cells in no more than `width`."""
    found: list[Cell] = []
    room = width
    for text, style in cells:
        if len(text) > room:
            return [*found, Cell(fit(text, room), style)] if room > 0 else found
        found.append(Cell(text, style))
        room -= len(text)
    return found


def folded(cells: Sequence[Cell], text: Cell, width: int) -> list[list[Cell]]:
    """`cells`, and after them `text` in as many lines as it needs: what must be read whole."""
    indent = sum(len(cell.text) for cell in cells)
    parts = textwrap.wrap(text.text, max(_LEAST, width - indent), break_on_hyphens=False) or [""]
    lines = [[*cells, Cell(parts[0], text.style)]]
    return [*lines, *([Cell(" " * indent), Cell(part, text.style)] for part in parts[1:])]


def to_do(line: str) -> list[Cell]:
    """A line of what to do: what can be typed stands out, and ends where prose begins."""
    typed, semicolon, prose = line.partition(";")
    return [Cell(_DO, Tone.DIM.value), Cell(typed, "bold"), *([Cell(semicolon + prose)] if semicolon else ())]


def advice(text: str, width: int) -> list[list[Cell]]:
    """What to do, a line each; nothing is cut of it."""
    found: list[list[Cell]] = []
    for line in text.splitlines():
        found += folded([Cell(_DO, Tone.DIM.value)], Cell(line, "bold"), width)
    return found
