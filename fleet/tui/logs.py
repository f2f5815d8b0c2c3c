"""Lines of logs on the screen: merged by time, filtered, no more than are kept. Pure."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime

from fleet.control.actions.loglines import LogLine
from fleet.control.actions.logs import KEPT_LINES
from fleet.control.watch.statewords import AWAY, Tone
from fleet.tui.lines import Cell, Painter
from fleet.tui.words import fit, holds
from fleet.vocabulary.names import Freshness

_LEVEL = re.compile(r"\b(?:(WARN(?:ING)?)|(ERROR|CRITICAL|FATAL|Traceback))\b")
_LEVEL_WITHIN = 60
_NODE, _SERVICE = 14, 12
_ROOMY = 100


class LogBook:
    """The lines that are kept, and those of them that are sought. Lists are new where they changed."""

    def __init__(self, *, most: int = KEPT_LINES) -> None:
        self._most = most
        self._sought = ""
        self.skipped = 0
        self.all: list[LogLine] = []
        self.shown: list[LogLine] = []

    def add(self, lines: Sequence[LogLine], *, skipped: int = 0) -> None:
        """Lines that came, in order of time."""
        self.skipped += skipped
        if not lines:
            return
        self.all = _merged(self.all, lines)[-self._most :]
        if not self._sought:
            self.shown = self.all
            return
        first = self.all[0]
        fresh = [line for line in lines if line >= first and self._lets(line)]
        kept = _merged(self.shown, fresh)
        gone = next((at for at, line in enumerate(kept) if line >= first), len(kept))
        self.shown = kept[gone:] if gone else kept

    def seek(self, sought: str) -> None:
        """Show only lines with these words."""
        if sought != self._sought:
            self._sought = sought
            self.shown = [line for line in self.all if self._lets(line)] if sought else self.all

    def _lets(self, line: LogLine) -> bool:
        return holds(f"{line.node} {line.service} {line.text}".lower(), self._sought)


class Logs(Painter[LogLine]):
    """Paints lines. Whose they are is said where they are of several nodes."""

    def __init__(self, nodes: Sequence[str], *, unicode: bool) -> None:
        self._node = min(_NODE, max((len(node) for node in nodes), default=0)) if len(nodes) > 1 else 0
        self._unicode = unicode

    def key(self, row: LogLine) -> Hashable:
        """See Painter."""
        return row.node, row.seq

    def header(self, width: int) -> Sequence[Cell]:
        """See Painter."""
        node = f"{'NODE':<{self._node}} " if self._node else ""
        return [
            Cell(fit(f"  {'TIME (UTC)':<{_time_cells(width)}} {node}{'SERVICE':<{_SERVICE}} LINE", width), "header")
        ]

    def cells(self, row: LogLine, width: int) -> Sequence[Cell]:
        """See Painter."""
        at = datetime.fromtimestamp(row.at, UTC)
        time = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}" if width >= _ROOMY else f"{at:%H:%M:%S}"
        cells = [Cell(f"  {fit(time, _time_cells(width))} ", Tone.DIM.value)]
        if self._node:
            cells.append(Cell(fit(row.node, self._node) + " ", Tone.PLAIN.value))
        if row.away:
            shape = AWAY[Freshness.OFFLINE]
            cells.append(Cell(f"{shape.shape if self._unicode else shape.ascii_shape} ", shape.tone.value))
        else:
            cells.append(Cell(fit(row.service, _SERVICE) + " ", Tone.DIM.value))
        rest = max(0, width - sum(len(cell.text) for cell in cells))
        return [*cells, Cell(fit(_plain(row.said), rest), _tone(row).value)]

    def column_at(self, x: int, width: int) -> str | None:  # noqa: ARG002 (Painter's)
        """See Painter: lines have one order."""
        return None


def line_lines(row: LogLine | None) -> list[list[Cell]]:
    """One line in full."""
    if row is None:
        return []
    at = datetime.fromtimestamp(row.at, UTC)
    whose = f"{row.node} {row.service}".strip()
    head = [
        Cell(f"{whose} ", "bold"),
        Cell(f" {at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC", Tone.DIM.value),
    ]
    return [head, [Cell(_plain(row.said), _tone(row).value)]]


def _merged(old: list[LogLine], new: Sequence[LogLine]) -> list[LogLine]:
    """Both in order of time. Two runs that are in order are merged in one pass."""
    found = [*old, *new]
    if old and new and new[0] < old[-1]:
        found.sort()
    return found


def _tone(row: LogLine) -> Tone:
    if row.away:
        return Tone.OK if row.text == "logs again" else Tone.CRITICAL
    found = _LEVEL.search(row.text, 0, row.cut + _LEVEL_WITHIN)
    return Tone.PLAIN if found is None else Tone.WARN if found[1] else Tone.CRITICAL


def _plain(text: str) -> str:
    """Without what moves a cursor: what a service wrote is no order to this terminal."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)


def _time_cells(width: int) -> int:
    return 12 if width >= _ROOMY else 10
