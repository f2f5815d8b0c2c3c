"""The first screen: every node in a line, the worst first, and below what is wrong with the one under the cursor."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.signal import Signal
from textual.widgets import Static

from fleet.control.watch.rowfilter import parse_filter
from fleet.control.watch.roworder import Order
from fleet.control.watch.view import FleetView
from fleet.tui.board import Board
from fleet.tui.detail import detail_lines
from fleet.tui.fleet_screen import status_document
from fleet.tui.lines import Lines
from fleet.tui.overview import Overview
from fleet.tui.rows_screen import RowsScreen
from fleet.tui.traffic_cells import Pen
from fleet.tui.traffic_line import summary
from fleet.tui.traffic_source import TrafficSource
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.units import seconds_text

_DETAIL_LINES = 7
_OLD_SECONDS = 30.0
"""Looks come every few seconds; a screen that stands still says so."""


class OverviewScreen(RowsScreen):
    """Shows a board. What moves it is the signal."""

    CSS = f"""{RowsScreen.CSS}
    #traffic {{ display: none; height: 1; padding: 0 1; }}
    #traffic.-shown {{ display: block; }}
    """
    NAME = "overview"
    FILTER_HELP = "text  !text  tag=x  state>=warn  headroom<=2GiB"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "slash", "filter", "Filter", tooltip="text, !text, tag=x, state>=warn, headroom<=2GiB", id="rows.filter"
        ),
        Binding("s", "sort", "Sort", tooltip="By the next column; a click on a header does it as well", id="rows.sort"),
        Binding("S", "turn", "Turn", show=False, tooltip="The other way round", id="rows.turn"),
    ]

    def __init__(
        self,
        board: Board,
        *,
        clock: Clock,
        unicode: bool,
        looked: Signal[FleetView | None],
        traffic: TrafficSource | None = None,
    ) -> None:
        super().__init__(board, clock=clock, unicode=unicode, looked=looked)
        self._painter = Overview(unicode=unicode)
        self._traffic = traffic

    def compose(self) -> ComposeResult:
        """As others, with a line of traffic below the head, where there is something to say."""
        head, *rest = super().compose()
        yield head
        yield Static(id="traffic")
        yield from rest

    @property
    def aimed_at(self) -> tuple[NodeName, ...]:
        """See FleetScreen. What is marked, also where a filter hides it; without marks what is under the cursor."""
        aimed = (NodeName(str(key)) for key in self.lines.aimed)
        return tuple(node for node in aimed if self._board.row(node) is not None)

    @property
    def under_cursor(self) -> NodeName | None:
        """See RowsScreen."""
        row = self.lines.row
        return None if row is None else row.row.node

    def document(self) -> object:
        """See FleetScreen: as `fleet status --json`, with the rows that are shown."""
        return status_document(self._board.view, {row.row.node for row in self.lines.rows})

    def painter(self) -> Overview:
        """See RowsScreen."""
        return self._painter

    def show_board(self) -> None:
        """What the board has now."""
        if not self.is_current:
            return
        self._painter.fastest = self._board.fastest
        found = parse_filter(self.sought)
        rows = self._board.rows(found, self._painter.order)
        self.lines.show(rows)
        self._say("head", self._head(len(rows), found.problem))
        self._show_traffic()
        self.show_detail()

    def on_lines_header_clicked(self, event: Lines.HeaderClicked) -> None:
        """Sort by that column; once more, the other way round."""
        order = self._painter.order
        self._sort(Order(event.column, event.column == order.by and not order.turned))

    def action_sort(self) -> None:
        """By the next column."""
        columns = list(dict.fromkeys(self._painter.sorted_by(self.lines.size.width)))
        at = columns.index(self._painter.order.by) if self._painter.order.by in columns else -1
        self._sort(Order(columns[(at + 1) % len(columns)]))

    def action_turn(self) -> None:
        """The other way round."""
        self._sort(Order(self._painter.order.by, not self._painter.order.turned))

    def _sort(self, order: Order) -> None:
        self._painter.order = order
        self.lines.repaint()
        self.show_board()

    def _show_traffic(self) -> None:
        """The line takes room only where it has something to say."""
        width, newest = self.size.width - 2, self._traffic.newest if self._traffic is not None else None
        cells = summary(newest, self._clock.now(), width=width, pen=Pen(self._unicode))
        self.query_one("#traffic").set_class(bool(cells), "-shown")
        self._say("traffic", self._line(cells))

    def _head(self, shown: int, problem: str) -> Text:
        head = Text(no_wrap=True, overflow="ellipsis")
        view = self._board.view
        if self._board.problem:
            head.append(f"{self._board.problem}  ", style=self._style("critical"))
        if view is None:
            return head.append("looking at the fleet for the first time …", style="dim")
        age = (self._clock.now() - view.at).total_seconds()
        if age >= _OLD_SECONDS:
            head.append(f"no newer look for {seconds_text(age)}  ", style=self._style("warn"))
        head.append(f"{len(self._board)} nodes  ", style="bold")
        for state, count in self._board.counts.items():
            head.append(f"{state.text(unicode=self._unicode)} {count}  ", style=self._style(state.tone.value))
        if self.sought:
            head.append(f"shown {shown}: {self.sought}  ", style="reverse")
        if problem:
            head.append(f"{problem}  ", style=self._style("warn"))
        if self.lines.marks:
            head.append(f"{self.lines.marks} marked  ", style="underline")
        if view.laptop_problem:
            head.append(view.laptop_problem, style=self._style("critical"))
        head.append(f"{view.at:%H:%M:%S} UTC", style="dim")
        return head

    def show_detail(self) -> None:
        """See RowsScreen."""
        row = self.lines.row
        lines = detail_lines(row.row if row else None, self._clock.now(), height=_DETAIL_LINES, unicode=self._unicode)
        self._say("detail-text", self._text(lines))
