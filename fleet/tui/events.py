"""Events as lines: what began when, how long it lasted, where and what. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from fleet.control.watch.eventrows import EventRow
from fleet.control.watch.statewords import HEALTH, INTENT, Told, Tone
from fleet.tui.lines import Cell, Painter
from fleet.tui.words import to_do
from fleet.vocabulary.units import seconds_text

KEPT = timedelta(days=7)
_HERE = "this laptop"
_STEP_SECONDS = 60.0
_COLUMNS = (("SINCE (UTC)", 11), ("UNTIL", 11), ("LASTED", 8), ("NODE", 14), ("STATE", 10))


class Events(Painter[EventRow]):
    """Paints events. What is over is dim."""

    def __init__(self, *, unicode: bool) -> None:
        self._unicode = unicode

    def key(self, row: EventRow) -> Hashable:
        """See Painter."""
        return row.node, row.check, row.subject, row.since

    def header(self, width: int) -> Sequence[Cell]:
        """See Painter."""
        titles = " ".join(title.ljust(cells) for title, cells in _COLUMNS)
        return [Cell(f"  {titles} WHAT".ljust(width)[:width], "header")]

    def cells(self, row: EventRow, width: int) -> Sequence[Cell]:
        """See Painter."""
        state = told_of(row)
        lasts = row.until is None
        plain = Tone.PLAIN.value if lasts else Tone.DIM.value
        texts = (f"{row.since:%m-%d %H:%M}", _until(row), seconds_text(row.lasted_seconds), row.node or _HERE)
        cells = [Cell("  ")]
        for number, (text, (_, room)) in enumerate(zip(texts, _COLUMNS, strict=False)):
            cells.append(Cell(_fit(text, room) + " ", state.tone.value if lasts and number == 1 else plain))
        cells.append(Cell(_fit(state.text(unicode=self._unicode), _COLUMNS[-1][1]) + " ", state.tone.value))
        used = 2 + sum(room + 1 for _, room in _COLUMNS)
        return [*cells, Cell(_fit(row.text.replace("\n", " "), max(0, width - used)), plain)]

    def column_at(self, x: int, width: int) -> str | None:  # noqa: ARG002 (Painter's)
        """See Painter: events have one order."""
        return None


def told_of(row: EventRow) -> Told:
    """The state of its worst time, or what was wanted of the node."""
    return INTENT.get(row.intent, HEALTH[row.health]) if row.intent is not None else HEALTH[row.health]


def shown(
    rows: Iterable[EventRow], now: datetime, *, sought: str, only_lasting: bool, known: Iterable[EventRow] = ()
) -> list[EventRow]:
    """Those of the last week, what began last first. One that says the same as in `known` is that very object.

    `sought` is words that must all be in what the row says; a `!` in front turns a word around.
    """
    words = sought.removeprefix("/").lower().split()
    before = {(row.node, row.check, row.subject, row.since): row for row in known}
    found = []
    for row in rows:
        if (row.until is None or (not only_lasting and row.until >= now - KEPT)) and _fits(row, words):
            calm = _calm(row)
            kept = before.get((row.node, row.check, row.subject, row.since))
            found.append(kept if kept == calm else calm)
    found.sort(key=lambda row: row.since, reverse=True)
    return found


def event_lines(row: EventRow | None, *, height: int, unicode: bool) -> list[list[Cell]]:
    """What one event says: what, since when, what happens next, and what to do while it lasts."""
    if row is None:
        return []
    state = told_of(row)
    until = "lasts" if row.until is None else f"until {row.until:%m-%d %H:%M}"
    said = f"  since {row.since:%m-%d %H:%M} UTC, {until}, {seconds_text(row.lasted_seconds)}"
    lines = [
        [
            Cell(f"{row.node or _HERE} ", "bold"),
            Cell(state.text(unicode=unicode), state.tone.value),
            Cell(said, Tone.DIM.value),
        ],
        *([Cell(f"  {line}", Tone.PLAIN.value)] for line in row.text.split("\n")),
    ]
    if row.until is None:
        lines += [[Cell(f"      then: {row.next}", Tone.DIM.value)]] if row.next else []
        lines += [to_do(line) for line in row.do.split("\n") if line]
    return lines[:height]


def _fits(row: EventRow, words: Iterable[str]) -> bool:
    lasts = "lasts" if row.until is None else "over"
    said = "\n".join((row.node or _HERE, row.check, row.subject, row.text, told_of(row).word, lasts)).lower()
    holds: Callable[[str], bool] = lambda word: word in said  # noqa: E731 (used twice, and short)
    return all(not holds(word[1:]) if word[0] == "!" and len(word) > 1 else holds(word) for word in words)


def _calm(row: EventRow) -> EventRow:
    """What lasts is counted in minutes: a second more alone is no change."""
    if row.until is not None or row.lasted_seconds < _STEP_SECONDS:
        return row
    return msgspec.structs.replace(row, lasted_seconds=row.lasted_seconds // _STEP_SECONDS * _STEP_SECONDS)


def _until(row: EventRow) -> str:
    if row.until is None:
        return "lasts"
    return f"{row.until:%H:%M}" if row.until.date() == row.since.date() else f"{row.until:%m-%d %H:%M}"


def _fit(text: str, room: int) -> str:
    return text.ljust(room) if len(text) <= room else text[: max(0, room - 1)] + "…"[:room]
