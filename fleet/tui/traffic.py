"""Paints traffic: which columns a section has at which width. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from types import MappingProxyType

from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from fleet.tui.lines import Cell, Lines, Painter
from fleet.tui.traffic_cells import Column, Pen, fitted, row_cells
from fleet.tui.traffic_flow import INCIDENT, REQUEST, TOOLS, UPSTREAM
from fleet.tui.traffic_money import BUDGET, GRAY
from fleet.tui.traffic_notes import NOTES
from fleet.tui.traffic_rows import Section, TrafficRow

_COLUMNS = MappingProxyType(
    {
        Section.NOTES: NOTES,
        Section.TRACKS: BUDGET,
        Section.GRAY: GRAY,
        Section.UPSTREAMS: UPSTREAM,
        Section.REQUESTS: REQUEST,
        Section.BUDGETS: BUDGET,
        Section.TOOLS: TOOLS,
        Section.INCIDENTS: INCIDENT,
    }
)


class TrafficPainter(Painter[TrafficRow]):
    """Every section has columns of its own, and its head among the rows."""

    def __init__(self, pen: Pen) -> None:
        self._pen = pen
        self._fitted = lru_cache(maxsize=32)(lambda section, width: fitted(_COLUMNS[section], width))

    def key(self, row: TrafficRow) -> Hashable:
        """See Painter."""
        return row.section, row.name

    def header(self, width: int) -> Sequence[Cell]:
        """See Painter. The heads are among the rows; see TrafficLines."""
        return [Cell("".ljust(width))]

    def cells(self, row: TrafficRow, width: int) -> Sequence[Cell]:
        """See Painter."""
        columns: Sequence[Column] = self._fitted(row.section, width)
        if row.name:
            return row_cells(columns, row.said, stale=row.stale, pen=self._pen)
        cells = []
        for number, column in enumerate(columns):
            title = column.title if number else self._title(row, column)
            cells.append(self._pen.fit(title, column.width, right=column.right) + " ")
        return [Cell("  " + "".join(cells), "header")]

    def column_at(self, x: int, width: int) -> str | None:  # noqa: ARG002 (Painter's)
        """See Painter: a section has one order."""
        return None

    def _title(self, row: TrafficRow, column: Column) -> str:
        title = "TEAMS, KEYS" if row.section is Section.BUDGETS else column.title
        return f"{title} {row.said}".rstrip()


class TrafficLines(Lines[TrafficRow]):
    """The line above says of which section the first row in sight is: its head has gone out of sight, or is that line.

    So the head of the first section is not among the rows.
    """

    def __init__(self, painter: TrafficPainter, *, style_of: Callable[[str], Style], id: str) -> None:  # noqa: A002 (Textual's)
        super().__init__(painter, style_of=style_of, id=id)
        self._heads: dict[Section, TrafficRow] = {}

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is marked here: requests are ended one at a time."""
        return False if action == "mark" else super().check_action(action, parameters)

    def show(self, rows: Sequence[TrafficRow]) -> None:
        """See Lines."""
        before = self._heads
        self._heads = {row.section: row for row in rows if not row.name}
        super().show(rows[1:])
        if before != self._heads:
            self.refresh(Region(0, 0, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """See Lines."""
        top = self.scroll_offset.y
        if y or top >= len(self.rows) or not self.rows[top].name:
            return super().render_line(y)
        width = self.scrollable_content_region.width
        head = self._heads[self.rows[top].section]
        return self._strip(self._painter.cells(head, width), width, here=False, marked=False)

    def jump(self, delta: int) -> None:
        """Put the cursor on the first row of the next section or the one before; as much of it as fits is in sight."""
        firsts = [0, *(number + 1 for number, row in enumerate(self.rows) if not row.name)]
        wanted = (sum(first <= self._at for first in firsts) - 1 + delta) % len(firsts)
        first, end = firsts[wanted], [*firsts, len(self.rows) + 1][wanted + 1] - 1
        self._go(first)
        if end - self.scroll_offset.y > self._page:
            self.scroll_to(y=first, animate=False, immediate=True)
