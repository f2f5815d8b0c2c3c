"""Deploys: the runs of this project on this laptop, the last one first. Asks no node."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.signal import Signal

from fleet.control.actions.runlist import GOING_ON, LEFT, RunList, RunRow
from fleet.control.watch.view import FleetView
from fleet.tui.actions import Verb
from fleet.tui.board import Board
from fleet.tui.fleet_screen import Aim
from fleet.tui.lines import Lines
from fleet.tui.rows_screen import RowsScreen
from fleet.tui.run_screen import RunScreen
from fleet.tui.runs import STATES, Runs, aim_of, run_lines, shown
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName

_DETAIL_LINES = 7


class RunsScreen(RowsScreen):
    """Reads records in a thread, and only those that changed."""

    NAME = "deploy"
    FILTER_HELP = "text  !text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", tooltip="No filter; without one, back", id="runs.back"),
        Binding("slash", "filter", "Filter", tooltip="text, !text: id, state, playbook, who, node", id="runs.filter"),
    ]

    def __init__(
        self, board: Board, *, clock: Clock, unicode: bool, looked: Signal[FleetView | None], runs: RunList
    ) -> None:
        super().__init__(board, clock=clock, unicode=unicode, looked=looked)
        self._painter = Runs(unicode=unicode)
        self._runs = runs
        self._known: tuple[RunRow, ...] | None = None
        self._reads = False
        self._about: tuple[str, str] | None = None

    @property
    def aimed_at(self) -> tuple[NodeName, ...]:
        """See FleetScreen. A run is no node: what is about nodes is done where they are seen."""
        return ()

    def offers(self, verb: Verb) -> bool:
        """See FleetScreen: what is about a run, where there is something to do about it."""
        return verb.only_aimed and super().offers(verb)

    def aim(self, verb: str) -> Aim:
        """See FleetScreen: the run under the cursor, or its nodes."""
        return aim_of(self.lines.row, self._known or (), verb)

    @property
    def under_cursor(self) -> NodeName | None:
        """See RowsScreen."""
        return None

    def painter(self) -> Runs:
        """See RowsScreen."""
        return self._painter

    def show_board(self) -> None:
        """What is known now; what changed is read meanwhile."""
        if not self.is_current:
            return
        if not self._reads:
            self._reads = True
            self.run_worker(self._read, thread=True, group="runs", exit_on_error=False)
        self._show_rows()

    def show_detail(self) -> None:
        """See RowsScreen."""
        row, known = self.lines.row, self._known or ()
        last = bool(known) and row is not None and row.run_id == known[0].run_id
        width = max(1, self.size.width - 2)
        lines = run_lines(row, last=last, width=width, height=_DETAIL_LINES, unicode=self._unicode)
        self._say("detail-text", self._text(lines))
        about = None if row is None else (row.run_id, row.word)
        if about != self._about:
            self._about = about
            self.refresh_bindings()

    def on_lines_chosen(self, event: Lines.Chosen) -> None:
        """Open the run."""
        event.stop()
        row = self.lines.row
        if row is not None:
            screen = RunScreen(
                row,
                self._board,
                clock=self._clock,
                unicode=self._unicode,
                looked=self._looked,
                runs=self._runs,
            )
            self.app.push_screen(screen)

    def action_back(self) -> None:
        """Take filter and marks away; without both, go back."""
        if self.sought or self.lines.marks or not self.lines.has_focus:
            self.action_clear()
        else:
            self.app.pop_screen()

    def document(self) -> object:
        """See FleetScreen: as `fleet runs --json`."""
        return {"schema": 1, "runs": [row.document() for row in self.lines.rows]}

    def _read(self) -> None:
        """In a thread."""
        try:
            self.app.call_from_thread(self._take, self._runs.rows())
        finally:
            self._reads = False

    def _take(self, rows: tuple[RunRow, ...]) -> None:
        if self._known is None or list(map(id, rows)) != list(map(id, self._known)):
            self._known = rows
            self._show_rows()

    def _show_rows(self) -> None:
        rows = shown(self._known or (), self.sought)
        self.lines.show(rows)
        self._say("head", self._head(len(rows)))
        self.show_detail()

    def _head(self, count: int) -> Text:
        head = Text(no_wrap=True, overflow="ellipsis")
        if self._known is None:
            return head.append("reading what was written down …", style="dim")
        head.append(f"{len(self._known)} runs of this laptop  ", style="bold")
        for word in (GOING_ON, LEFT):
            number = sum(row.word == word for row in self._known)
            if number:
                state = STATES[word]
                head.append(f"{state.text(unicode=self._unicode)} {number}  ", style=self._style(state.tone.value))
        if self.sought:
            head.append(f"shown {count}: {self.sought}  ", style="reverse")
        if not self._known:
            head.append("fleet deploy makes one  ", style="dim")
        return head.append("UTC", style="dim")
