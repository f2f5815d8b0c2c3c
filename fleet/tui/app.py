"""The application: takes the newest view once a second, and gives it to the screen in front."""

from __future__ import annotations

from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.signal import Signal

from fleet.control.watch.view import FleetView
from fleet.tui.board import Board
from fleet.tui.lines import Lines
from fleet.tui.node_screen import History, NodeScreen
from fleet.tui.overview_screen import OverviewScreen
from fleet.tui.source import Source
from fleet.tui.tones import COLOUR_BLIND_THEMES
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName

_TICK_SECONDS = 1.0


class FleetTop(App[None]):
    """`fleet top`. Built without I/O: the source looks at the fleet, the clock says what time it is."""

    TITLE = "fleet top"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit", tooltip="Leave", id="app.quit"),
        Binding("question_mark", "show_help_panel", "Help", tooltip="Every key of this screen", id="app.help"),
        Binding("t", "next_theme", "Theme", tooltip="The next theme", show=False, id="app.theme"),
    ]

    def __init__(
        self,
        source: Source,
        *,
        clock: Clock,
        history: History | None = None,
        unicode: bool = True,
        read_only: bool = False,
    ) -> None:
        super().__init__()
        self.board = Board()
        self.clock = clock
        self.unicode = unicode
        self.read_only = read_only
        self.source = source
        self.history = history
        self.looked: Signal[FleetView | None] = Signal(self, "looked")
        for theme in COLOUR_BLIND_THEMES:
            self.register_theme(theme)

    def on_mount(self) -> None:
        """Begin to look."""
        self.push_screen(OverviewScreen(self.board, clock=self.clock, unicode=self.unicode, looked=self.looked))
        self.source.start()
        self.set_interval(_TICK_SECONDS, self.tick)

    def on_unmount(self) -> None:
        """Look no more."""
        self.source.stop()

    def tick(self) -> None:
        """Take what is newest. Screens that are not in front hear of it, too, and do nothing."""
        view = self.source.newest
        if view is not None:
            self.board.take(view)
        self.looked.publish(view)

    def on_lines_chosen(self, event: Lines.Chosen) -> None:
        """Open a node."""
        screen = NodeScreen(
            NodeName(str(event.key)),
            self.board,
            clock=self.clock,
            unicode=self.unicode,
            looked=self.looked,
            history=self.history,
        )
        self.push_screen(screen)

    def action_next_theme(self) -> None:
        """The next theme; the colour-blind pair is among them."""
        names = sorted(self.available_themes)
        self.theme = names[(names.index(self.theme) + 1) % len(names)]
