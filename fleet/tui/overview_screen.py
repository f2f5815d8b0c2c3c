"""The first screen: every node in a line, the worst first, and below what is wrong with the one under the cursor."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.reactive import reactive
from textual.signal import Signal
from textual.widgets import Footer, Input, Static

from fleet.control.watch.rowfilter import parse_filter
from fleet.control.watch.roworder import Order
from fleet.control.watch.view import FleetView
from fleet.tui.board import Board
from fleet.tui.detail import detail_lines
from fleet.tui.fleet_screen import FleetScreen
from fleet.tui.lines import Lines
from fleet.tui.overview import Overview, TopRow
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName

_DETAIL_LINES = 7


class OverviewScreen(FleetScreen):
    """Shows a board. What moves it is the signal."""

    CSS = """
    OverviewScreen { layout: vertical; }
    #head { height: 1; padding: 0 1; }
    #lines { height: 1fr; }
    #detail { height: auto; max-height: 8; border-top: solid $surface-lighten-2; padding: 0 1; }
    #filter { display: none; height: 1; border: none; padding: 0 1; }
    #filter.-shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "slash", "filter", "Filter", tooltip="text, !text, tag=x, state>=warn, headroom<=2GiB", id="rows.filter"
        ),
        Binding("escape", "clear", "Clear", show=False, tooltip="No filter and no marks", id="rows.clear"),
        Binding("s", "sort", "Sort", tooltip="By the next column; a click on a header does it as well", id="rows.sort"),
        Binding("S", "turn", "Turn", show=False, tooltip="The other way round", id="rows.turn"),
    ]
    sought: reactive[str] = reactive("")

    def __init__(self, board: Board, *, clock: Clock, unicode: bool, looked: Signal[FleetView | None]) -> None:
        super().__init__(board, clock=clock, unicode=unicode, looked=looked)
        self._painter = Overview(unicode=unicode)

    @property
    def aimed_at(self) -> tuple[NodeName, ...]:
        """See FleetScreen. What is marked, also where a filter hides it; without marks what is under the cursor."""
        aimed = (NodeName(str(key)) for key in self._lines.aimed)
        return tuple(node for node in aimed if self._board.row(node) is not None)

    def compose(self) -> ComposeResult:
        """Head, rows, detail, filter."""
        yield Static(id="head")
        yield Lines[TopRow](self._painter, style_of=self._style, id="lines")
        yield Vertical(Static(id="detail-text"), id="detail")
        yield Input(id="filter", placeholder="text  !text  tag=x  state>=warn  headroom<=2GiB", compact=True)
        yield Footer()

    def on_mount(self) -> None:
        """Hear of views."""
        self._looked.subscribe(self, lambda _: self.show_board())
        self.app.theme_changed_signal.subscribe(self, lambda _: self._lines.repaint())
        self._lines.focus()
        self.show_board()

    @property
    def _lines(self) -> Lines[TopRow]:
        return self.query_one("#lines", Lines)

    def show_board(self) -> None:
        """What the board has now."""
        if not self.is_current:
            return
        self._painter.fastest = self._board.fastest
        found = parse_filter(self.sought)
        rows = self._board.rows(found, self._painter.order)
        self._lines.show(rows)
        self.query_one("#head", Static).update(self._head(len(rows), found.problem))
        self._show_detail()

    def on_lines_moved(self) -> None:
        """Another node is under the cursor."""
        self._show_detail()

    def on_lines_header_clicked(self, event: Lines.HeaderClicked) -> None:
        """Sort by that column; once more, the other way round."""
        order = self._painter.order
        self._sort(Order(event.column, event.column == order.by and not order.turned))

    def action_sort(self) -> None:
        """By the next column."""
        columns = list(dict.fromkeys(self._painter.sorted_by(self._lines.size.width)))
        at = columns.index(self._painter.order.by) if self._painter.order.by in columns else -1
        self._sort(Order(columns[(at + 1) % len(columns)]))

    def action_turn(self) -> None:
        """The other way round."""
        self._sort(Order(self._painter.order.by, not self._painter.order.turned))

    def action_filter(self) -> None:
        """Ask for a filter."""
        field = self.query_one("#filter", Input)
        field.add_class("-shown")
        field.focus()

    def action_clear(self) -> None:
        """No filter, no marks."""
        self.query_one("#filter", Input).value = ""
        self._close_filter()
        self._lines.clear_marks()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self.sought = event.value
        self.show_board()

    def on_input_submitted(self) -> None:
        """Back to the rows; the filter stays."""
        self._close_filter()

    def _close_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.set_class(bool(field.value), "-shown")
        self._lines.focus()

    def _sort(self, order: Order) -> None:
        self._painter.order = order
        self._lines.repaint()
        self.show_board()

    def _head(self, shown: int, problem: str) -> Text:
        head = Text(no_wrap=True, overflow="ellipsis")
        view = self._board.view
        if view is None:
            return head.append("looking at the fleet for the first time …", style="dim")
        head.append(f"{len(self._board)} nodes  ", style="bold")
        for state, count in self._board.counts.items():
            head.append(f"{state.text(unicode=self._unicode)} {count}  ", style=self._style(state.tone.value))
        if self.sought:
            head.append(f"shown {shown}: {self.sought}  ", style="reverse")
        if problem:
            head.append(f"{problem}  ", style=self._style("warn"))
        if self._lines.marks:
            head.append(f"{self._lines.marks} marked  ", style="underline")
        if view.laptop_problem:
            head.append(view.laptop_problem, style=self._style("critical"))
        head.append(f"{view.at:%H:%M:%S} UTC", style="dim")
        return head

    def _show_detail(self) -> None:
        row = self._lines.row
        lines = detail_lines(row.row if row else None, self._clock.now(), height=_DETAIL_LINES, unicode=self._unicode)
        self.query_one("#detail-text", Static).update(self._text(lines))
