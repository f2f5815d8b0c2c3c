"""What went wrong, the newest first: the rows of `fleet events`, from what this laptop saw. Asks no node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol

import msgspec
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.signal import Signal

from fleet.control.watch.eventrows import rows_of
from fleet.control.watch.view import FleetView
from fleet.tui.board import Board
from fleet.tui.events import Events, event_lines, shown
from fleet.tui.rows_screen import RowsScreen
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.health.state import Transition
from fleet.vocabulary.names import NodeName

_DETAIL_LINES = 7


class Told(Protocol):
    """The transitions that were written down (vocabulary/eventfiles.py)."""

    def read(self) -> Iterable[Transition]:
        """All that is kept, the oldest first."""
        ...

    def signature(self) -> object:
        """Changes when something was added."""
        ...


class EventsScreen(RowsScreen):
    """Reads the files in a thread, and only when something was added."""

    NAME = "events"
    FILTER_HELP = "text  !text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", tooltip="No filter; without one, back", id="events.back"),
        Binding("slash", "filter", "Filter", tooltip="text, !text", id="events.filter"),
        Binding("o", "lasting", "Only lasting", tooltip="Only what lasts, or all of the week", id="events.lasting"),
    ]

    def __init__(
        self, board: Board, *, clock: Clock, unicode: bool, looked: Signal[FleetView | None], told: Told
    ) -> None:
        super().__init__(board, clock=clock, unicode=unicode, looked=looked)
        self._painter = Events(unicode=unicode)
        self._told = told
        self._transitions: tuple[Transition, ...] | None = None
        self._signature: object = None
        self._only_lasting = False

    @property
    def aimed_at(self) -> tuple[NodeName, ...]:
        """See FleetScreen. The nodes of the marked events, each once, without those that left and this laptop."""
        nodes = dict.fromkeys(NodeName(key[0]) for key in self.lines.aimed if isinstance(key, tuple))
        return tuple(node for node in nodes if self._board.row(node) is not None)

    @property
    def under_cursor(self) -> NodeName | None:
        """See RowsScreen."""
        row = self.lines.row
        return NodeName(row.node) if row is not None and row.node else None

    def painter(self) -> Events:
        """See RowsScreen."""
        return self._painter

    def show_board(self) -> None:
        """What is known now; when something was added, it is read meanwhile."""
        if not self.is_current:
            return
        self.run_worker(self._read, thread=True, group="events", exclusive=True, exit_on_error=False)
        now = self._clock.now()
        rows = shown(
            rows_of(self._transitions or (), now),
            now,
            sought=self.sought,
            only_lasting=self._only_lasting,
            known=self.lines.rows,
        )
        self.lines.show(rows)
        self._say("head", self._head(len(rows)))
        self.show_detail()

    def show_detail(self) -> None:
        """See RowsScreen."""
        lines = event_lines(self.lines.row, height=_DETAIL_LINES, unicode=self._unicode)
        self._say("detail-text", self._text(lines))

    def document(self) -> object:
        """See FleetScreen: as `fleet events --json`."""
        return msgspec.to_builtins(list(self.lines.rows))

    def action_lasting(self) -> None:
        """Only what lasts, or all of the week."""
        self._only_lasting = not self._only_lasting
        self.show_board()

    def action_back(self) -> None:
        """Take filter and marks away; without both, go back."""
        if self.sought or self.lines.marks or not self.lines.has_focus:
            self.action_clear()
        else:
            self.app.pop_screen()

    def _read(self) -> None:
        """In a thread."""
        signature = self._told.signature()
        if self._transitions is None or signature != self._signature:
            found = tuple(self._told.read())
            self.app.call_from_thread(self._take, signature, found)

    def _take(self, signature: object, found: tuple[Transition, ...]) -> None:
        self._signature, self._transitions = signature, found
        self.show_board()

    def _head(self, count: int) -> Text:
        head = Text(no_wrap=True, overflow="ellipsis")
        if self._transitions is None:
            return head.append("reading what was written down …", style="dim")
        span = "that last" if self._only_lasting else "of the last 7 days"
        head.append(f"{count} events {span}  ", style="bold")
        if self.sought:
            head.append(f"shown: {self.sought}  ", style="reverse")
        if not count and not self.sought:
            head.append("nothing went wrong, as far as fleet looked  ", style=self._style("ok"))
        return head.append("UTC", style="dim")
