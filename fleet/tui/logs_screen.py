"""Logs of some nodes, merged by time, as they come. Sessions of its own: it never waits for the looks at the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.signal import Signal

from fleet.control.actions.loglines import LogLine
from fleet.control.watch.view import FleetView
from fleet.tui.board import Board
from fleet.tui.logs import LogBook, Logs, line_lines
from fleet.tui.rows_screen import RowsScreen
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName

_TAKEN_EVERY_SECONDS = 0.5
_NAMED = 3


class Followed(Protocol):
    """Logs that are read (control/actions/logs.py)."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """End, and wait for nobody."""
        ...

    def take(self) -> tuple[list[LogLine], int]:
        """What has come since the last time, in order of time, and how many lines came too fast to be read."""
        ...


class LogsOf(Protocol):
    """Makes what follows the logs of nodes."""

    def __call__(self, nodes: Sequence[NodeName]) -> Followed:
        """Not begun yet."""
        ...


class LogsScreen(RowsScreen):
    """Follows while the cursor is on the last line; who goes up reads in peace."""

    NAME = "logs"
    CSS = f"""{RowsScreen.CSS}
    LogsScreen #detail-text {{ height: 5; }}
    """
    FILTER_HELP = "text  !text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", tooltip="No filter; without one, back", id="logs.back"),
        Binding("slash", "filter", "Filter", tooltip="text, !text: node, service, line", id="logs.filter"),
        Binding("f", "follow", "Follow", tooltip="Go on with the newest line; a key up holds it", id="logs.follow"),
    ]

    def __init__(
        self,
        nodes: Sequence[NodeName],
        board: Board,
        *,
        clock: Clock,
        unicode: bool,
        looked: Signal[FleetView | None],
        logs: LogsOf,
    ) -> None:
        super().__init__(board, clock=clock, unicode=unicode, looked=looked)
        self._whose = tuple(nodes)
        self._painter = Logs(nodes, unicode=unicode)
        self._book = LogBook()
        self._followed = logs(self._whose)
        self._follows = True

    @property
    def aimed_at(self) -> tuple[NodeName, ...]:
        """See FleetScreen. The nodes of the marked lines, else of the one under the cursor."""
        nodes = dict.fromkeys(NodeName(key[0]) for key in self.lines.aimed if isinstance(key, tuple))
        return tuple(node for node in nodes if self._board.row(node) is not None)

    @property
    def under_cursor(self) -> NodeName | None:
        """See RowsScreen."""
        row = self.lines.row
        return None if row is None else NodeName(row.node)

    def painter(self) -> Logs:
        """See RowsScreen."""
        return self._painter

    def on_mount(self) -> None:
        """Begin to read."""
        self._followed.start()
        self.set_interval(_TAKEN_EVERY_SECONDS, self.take)

    def on_unmount(self) -> None:
        """Read no more."""
        self._followed.stop()

    def take(self) -> None:
        """What has come; also while something is in front of it, so that nothing waits."""
        lines, skipped = self._followed.take()
        if lines or skipped:
            self._book.add(lines, skipped=skipped)
            self.show_board()

    def show_board(self) -> None:
        """What is known now."""
        if not self.is_current:
            return
        self._book.seek(self.sought)
        self.lines.show(self._book.shown)
        if self._follows:
            self.lines.action_edge(1)
        self._say("head", self._head())
        self.show_detail()

    def show_detail(self) -> None:
        """See RowsScreen."""
        self._say("detail-text", self._text(line_lines(self.lines.row)))

    def on_lines_moved(self) -> None:
        """Who leaves the last line holds what is shown, who comes back to it follows."""
        rows = self.lines.rows
        self._follows = not rows or self.lines.row is rows[-1]
        self._say("head", self._head())
        self.show_detail()

    def action_follow(self) -> None:
        """Hold, or go on with the newest line."""
        self._follows = not self._follows
        self.show_board()

    def action_back(self) -> None:
        """Take filter and marks away; without both, go back."""
        if self.sought or self.lines.marks or not self.lines.has_focus:
            self.action_clear()
        else:
            self.app.pop_screen()

    def document(self) -> object:
        """See FleetScreen: the rows of `fleet logs --json`."""
        return [line.document() for line in self._book.shown]

    def _head(self) -> Text:
        head = Text(no_wrap=True, overflow="ellipsis")
        count = len(self._whose)
        named = ", ".join(self._whose) if count <= _NAMED else f"{count} nodes"
        head.append(f"logs of {named}  ", style="bold")
        head.append(
            "follows  " if self._follows else "holds: f or end follows  ", style="" if self._follows else "reverse"
        )
        if self.sought:
            head.append(f"shown {len(self._book.shown)} of {len(self._book.all)}: {self.sought}  ", style="reverse")
        elif self._book.all:
            head.append(f"{len(self._book.all):,} lines  ", style="dim")
        else:
            head.append("nothing came yet  ", style="dim")
        if self._book.skipped:
            head.append(f"{self._book.skipped:,} came too fast and are not here  ", style=self._style("warn"))
        return head
