"""Traffic: money, gray routes, upstreams, requests in flight, budgets, tool calls and incidents of all fronts."""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar

import msgspec
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.signal import Signal
from textual.widgets import Input, Static

from fleet.control.watch.view import FleetView
from fleet.tui.actions import Verb
from fleet.tui.board import Board
from fleet.tui.fleet_screen import Aim
from fleet.tui.keys_footer import KeysFooter
from fleet.tui.rows_screen import RowsScreen
from fleet.tui.traffic import TrafficLines, TrafficPainter
from fleet.tui.traffic_cells import Pen, ago
from fleet.tui.traffic_detail import traffic_lines
from fleet.tui.traffic_rows import Section, TrafficRow, is_old, node_of, rows_of
from fleet.tui.traffic_source import TrafficSource
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName

_DETAIL_LINES = 5
_ABOUT = MappingProxyType(
    {"kill": Section.REQUESTS, "gray disable": Section.GRAY, "gray enable": Section.GRAY},
)
"""What verbs are about that are not about nodes."""
_WORK = frozenset({"drain", "resume"})


class TrafficScreen(RowsScreen):
    """Shows what the newest look at the fronts brought. What moves it is the signal."""

    CSS = f"""{RowsScreen.CSS}
    TrafficScreen #detail-text {{ height: 6; }}
    """
    NAME = "traffic"
    FILTER_HELP = "text  !text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", tooltip="No filter; without one, back", id="traffic.back"),
        Binding("slash", "filter", "Filter", tooltip="text, !text", id="traffic.filter"),
        Binding("tab", "section(1)", "Section", tooltip="To the next section", id="traffic.next"),
        Binding("shift+tab", "section(-1)", "Section", show=False, tooltip="To the one before", id="traffic.before"),
    ]

    def __init__(
        self, board: Board, *, clock: Clock, unicode: bool, looked: Signal[FleetView | None], traffic: TrafficSource
    ) -> None:
        super().__init__(board, clock=clock, unicode=unicode, looked=looked)
        self._pen = Pen(unicode)
        self._painter = TrafficPainter(self._pen)
        self._traffic = traffic

    def compose(self) -> ComposeResult:
        """As others, with lines that know of sections."""
        yield Static(id="head")
        yield TrafficLines(self._painter, style_of=self._style, id="lines")
        yield Static(id="detail-text")
        yield Input(id="filter", placeholder=self.FILTER_HELP, compact=True)
        yield KeysFooter()

    @property
    def lines(self) -> TrafficLines:
        """See RowsScreen."""
        return self.query_one("#lines", TrafficLines)

    @property
    def aimed_at(self) -> tuple[NodeName, ...]:
        """See FleetScreen. The node of the request or upstream under the cursor."""
        node = self.under_cursor
        return () if node is None or self._board.row(node) is None else (node,)

    @property
    def under_cursor(self) -> NodeName | None:
        """See RowsScreen."""
        return node_of(self.lines.row)

    def offers(self, verb: Verb) -> bool:
        """See FleetScreen: what is about requests and gray routes, and about whether a node gets work."""
        return verb.word in _ABOUT or verb.word in _WORK

    def foots(self, verb: Verb) -> bool:
        """See FleetScreen: all that is offered, for the cursor is soon on what it is about."""
        return self.offers(verb)

    def aim(self, verb: str) -> Aim:
        """See FleetScreen: the request under the cursor; the gray route there, or the only one."""
        row = self.lines.row
        if row is not None and row.name and row.section is _ABOUT.get(verb):
            return Aim(row.name, self._said(row))
        pools = self._traffic.newest.sums.pools if self._traffic.newest else ()
        if _ABOUT.get(verb) is Section.GRAY and len(pools) == 1:
            return Aim(pools[0].route, self._said(TrafficRow(Section.GRAY, pools[0].route, pools[0])))
        return Aim()

    def document(self) -> object:
        """See FleetScreen: requests as in `fleet ps`, upstreams, sums as in `fleet budget` and `fleet gray status`."""
        found = self._traffic.newest
        return None if found is None else {"schema": 1, **msgspec.to_builtins(found)}

    def painter(self) -> TrafficPainter:
        """See RowsScreen."""
        return self._painter

    def show_board(self) -> None:
        """What is known now."""
        if not self.is_current:
            return
        found, now = self._traffic.newest, self._clock.now()
        first = not self.lines.rows
        if found is not None:
            self.lines.show(rows_of(found, now, sought=self.sought, known=self.lines.rows))
        if first:
            self.lines.jump(0)
        self._say("head", self._head())
        self.show_detail()

    def show_detail(self) -> None:
        """See RowsScreen."""
        self._say("detail-text", self._text(traffic_lines(self.lines.row, height=_DETAIL_LINES, pen=self._pen)))

    def action_section(self, delta: int) -> None:
        """To another section."""
        self.lines.jump(delta)

    def action_back(self) -> None:
        """Take the filter away; without one, go back."""
        if self.sought or not self.lines.has_focus:
            self.action_clear()
        else:
            self.app.pop_screen()

    def _said(self, row: TrafficRow) -> str:
        lines = traffic_lines(row, height=_DETAIL_LINES, pen=self._pen)
        return "\n".join("".join(cell.text for cell in cells) for cells in lines if "do:" not in cells[0].text)

    def _head(self) -> Text:
        head = Text(no_wrap=True, overflow="ellipsis")
        found, now = self._traffic.newest, self._clock.now()
        if self._traffic.problem:
            head.append(f"{self._traffic.problem}  ", style=self._style("critical"))
        if found is None:
            return head.append("asking the fronts for the first time …", style="dim")
        named = ", ".join(found.fronts) if len(found.fronts) < 4 else f"{len(found.fronts)} fronts"
        head.append(f"traffic of {named}  ", style="bold")
        if found.sums.budget is not None:
            head.append(f"{found.sums.budget.month} {found.sums.budget.budget_tz}  ", style="dim")
        elif found.sums.free:
            head.append("no policy: money and gray are not counted  ", style="dim")
        if self.sought:
            head.append(f"shown: {self.sought}  ", style="reverse")
        flow, sums = found.flow, found.sums
        if flow.at is not None and is_old(flow, Section.REQUESTS, now):
            head.append(f"as of {ago(now - flow.at)} ago  ", style=self._style("warn"))
        elif sums.at is not None and is_old(sums, Section.TRACKS, now):
            head.append(f"sums as of {ago(now - sums.at)} ago  ", style=self._style("warn"))
        if found.flow.at is not None:
            head.append(f"{found.flow.at:%H:%M:%S} UTC", style="dim")
        return head
