"""The same columns in Textual's DataTable, used as well as it can be: fixed widths, and only cells that changed."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Input

from fleet.control.watch.rowfilter import Filter
from fleet.control.watch.roworder import Order
from fleet.tui.board import Board
from fleet.tui.overview import Overview, TopRow
from fleet.tui.source import Source

WIDTH = 160


class Table(App[None]):
    """Takes the newest view each second, as FleetTop. Rows that did not change are the same object, there as here."""

    CSS = """
    DataTable { height: 1fr; }
    DataTable > .datatable--cursor { background: rgb(68,68,68); color: white; }
    Input { dock: bottom; height: 1; border: none; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "filter", "Filter")]

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._painter = Overview(unicode=True)
        self._board = Board()
        self._rows: dict[str, TopRow] = {}
        self._cells: dict[str, tuple[str, ...]] = {}
        self._sought = ""

    def compose(self) -> ComposeResult:
        """The table, a filter, the keys."""
        yield DataTable[Text](cursor_type="row", id="table")
        yield Input(id="filter")
        yield Footer()

    def on_mount(self) -> None:
        """Columns of fixed width, and a tick a second."""
        for number, cell in enumerate(self._painter.header(WIDTH)):
            self.query_one(DataTable).add_column(cell.text, width=len(cell.text), key=str(number))
        self._source.start()
        self.set_interval(1.0, self._tick)

    def on_unmount(self) -> None:
        """Look no more."""
        self._source.stop()

    def action_filter(self) -> None:
        """Ask for a filter."""
        field = self.query_one(Input)
        field.display = True
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self._sought = event.value
        self._rebuild()

    def _tick(self) -> None:
        view = self._source.newest
        if view is None or view is self._board.view:
            return
        first = self._board.view is None
        self._board.take(view)
        if first:
            self._rebuild()
            return
        table = self.query_one(DataTable)
        for row in self._board.rows(Filter(), Order()):
            key = row.row.node
            if key not in self._rows or row is self._rows[key]:
                continue
            before, after = self._cells[key], self._texts(row)
            for number, (old, new) in enumerate(zip(before, after, strict=True)):
                if old != new:
                    table.update_cell(key, str(number), Text(new))
            self._rows[key], self._cells[key] = row, after

    def _rebuild(self) -> None:
        table = self.query_one(DataTable)
        table.clear()
        wanted = [row for row in self._board.rows(Filter(), Order()) if self._sought in row.row.node]
        self._rows = {row.row.node: row for row in wanted}
        self._cells = {name: self._texts(row) for name, row in self._rows.items()}
        for name, cells in self._cells.items():
            table.add_row(*map(Text, cells), key=name)

    def _texts(self, row: TopRow) -> tuple[str, ...]:
        return tuple(cell.text for cell in self._painter.cells(row, WIDTH))
