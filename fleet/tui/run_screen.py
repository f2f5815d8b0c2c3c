"""One run: a row a node, followed while it goes on. Reads what this laptop wrote down; asks no node."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.signal import Signal

from fleet.control.actions.runlist import RunList, RunRow
from fleet.control.watch.runwords import took_text
from fleet.control.watch.view import FleetView
from fleet.tui.actions import UNDO
from fleet.tui.board import Board
from fleet.tui.fleet_screen import Aim
from fleet.tui.rows_screen import RowsScreen
from fleet.tui.run import ROOMY, NodeLine, RunNodes, counted, node_lines, node_story, story_of, without_secrets
from fleet.tui.runs import STATES, aim_of, what_of
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.events import RunEvent
from fleet.vocabulary.names import NodeName

_LEAST_DETAIL = 7
_MOST_DETAIL = 24
_AROUND_LINES = 6


class RunScreen(RowsScreen):
    """Shows one run. The room below the rows grows where there are few."""

    NAME = "run"
    FILTER_HELP = "text  !text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", tooltip="No filter; without one, back", id="run.back"),
        Binding("slash", "filter", "Filter", tooltip="text, !text: node, state, what it does", id="run.filter"),
    ]

    def __init__(
        self,
        run: RunRow,
        board: Board,
        *,
        clock: Clock,
        unicode: bool,
        looked: Signal[FleetView | None],
        runs: RunList,
    ) -> None:
        super().__init__(board, clock=clock, unicode=unicode, looked=looked)
        self._painter = RunNodes(unicode=unicode)
        self._run = run
        self._known: tuple[RunRow, ...] = ()
        self._runs = runs
        self._tail = runs.tail(run.run_id)
        self._story = story_of(run)
        self._reads = False
        self._read_once = False

    @property
    def aimed_at(self) -> tuple[NodeName, ...]:
        """See FleetScreen. The marked nodes, else the one under the cursor; not those that left the fleet."""
        aimed = (NodeName(str(key)) for key in self.lines.aimed)
        return tuple(node for node in aimed if self._board.row(node) is not None)

    def aim(self, verb: str) -> Aim:
        """See FleetScreen: this run. Undone are nodes here, or the whole run where the runs are."""
        return Aim() if verb == UNDO else aim_of(self._run, self._known, verb)

    @property
    def under_cursor(self) -> NodeName | None:
        """See RowsScreen."""
        row = self.lines.row
        return None if row is None else NodeName(row.node)

    def painter(self) -> RunNodes:
        """See RowsScreen."""
        return self._painter

    def show_board(self) -> None:
        """What is known now; what has come is read meanwhile."""
        if not self.is_current:
            return
        if not self._reads and (self._run.live or not self._read_once or self._run.record.ended_at is None):
            self._reads = True
            self.run_worker(self._read, thread=True, group="run", exit_on_error=False)
        self._show_rows()

    def show_detail(self) -> None:
        """See RowsScreen."""
        height = self._detail_lines()
        width = max(1, self.size.width - 2)
        lines = node_story(self._story, self.lines.row, self._run, width=width, height=height, unicode=self._unicode)
        self._say("detail-text", self._text(lines))

    def on_resize(self) -> None:
        """Another size, other rooms."""
        self._show_rows()

    def action_back(self) -> None:
        """Take filter and marks away; without both, go back."""
        if self.sought or self.lines.marks or not self.lines.has_focus:
            self.action_clear()
        else:
            self.app.pop_screen()

    def document(self) -> object:
        """See FleetScreen: as `fleet runs show RUN --json`."""
        return {"schema": 1, **self._run.document()}

    def _read(self) -> None:
        """In a thread."""
        try:
            rows = self._runs.rows()
            _, events = self._tail.more()
            self.app.call_from_thread(self._take, rows, events)
        finally:
            self._reads = False

    def _take(self, rows: tuple[RunRow, ...], events: tuple[RunEvent, ...]) -> None:
        self._known = rows
        self._run = next((row for row in rows if row.run_id == self._run.run_id), self._run)
        self._story = self._story.after(map(without_secrets, events))
        first, self._read_once = not self._read_once, True
        self._show_rows()
        if first:
            self.lines.action_edge(0)

    def _show_rows(self) -> None:
        now = self._clock.now().timestamp()
        lines: list[NodeLine] = node_lines(
            self._story, self._run, now, sought=self.sought, roomy=self.size.width >= ROOMY, known=self.lines.rows
        )
        self.lines.show(lines)
        detail = self.query_one("#detail-text")
        height = self._detail_lines() + 1
        if detail.styles.height is None or detail.styles.height.value != height:
            detail.styles.height = height
        self._say("head", self._head(lines, now))
        self.show_detail()

    def _detail_lines(self) -> int:
        left = self.size.height - _AROUND_LINES - len(self._story.board.rows)
        return max(_LEAST_DETAIL, min(_MOST_DETAIL, left))

    def _head(self, lines: list[NodeLine], now: float) -> Text:
        run, board = self._run, self._story.board
        state = STATES[run.word]
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(f"{what_of(run)}  ", style="bold")
        head.append(f"{state.text(unicode=self._unicode)}  ", style=self._style(state.tone.value))
        for told, count in counted(lines):
            head.append(f"{count} {told.word}  ", style=self._style(told.tone.value))
        if self.sought:
            head.append(f"shown: {self.sought}  ", style="reverse")
        took = run.took_seconds
        if took is None and run.live and board.began is not None:
            took = max(0.0, now - board.began)
        if took is not None:
            head.append(f"{took_text(took)}  ", style="dim")
        if run.live and board.note:
            head.append(f"{board.note}  ", style="dim")
        if not self._read_once:
            head.append("reading what was written down …", style="dim")
        return head.append(run.run_id, style="dim")
