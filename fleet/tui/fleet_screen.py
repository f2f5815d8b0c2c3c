"""What the screens over one board share: how cells become text, and which nodes an action would be about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.style import Style
from rich.text import Text
from textual.screen import Screen
from textual.signal import Signal

from fleet.control.watch.view import FleetView
from fleet.tui.board import Board
from fleet.tui.lines import Cell
from fleet.tui.tones import styles_of
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName


class FleetScreen(Screen[None]):
    """Shows a board. What moves it is the signal."""

    def __init__(self, board: Board, *, clock: Clock, unicode: bool, looked: Signal[FleetView | None]) -> None:
        super().__init__()
        self._board = board
        self._clock = clock
        self._unicode = unicode
        self._looked = looked

    @property
    def aimed_at(self) -> tuple[NodeName, ...]:
        """The nodes that an action would be about now."""
        raise NotImplementedError

    def _text(self, lines: Iterable[Sequence[Cell]]) -> Text:
        return Text("\n").join(map(self._line, lines))

    def _line(self, cells: Sequence[Cell]) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        for text, name in cells:
            line.append(text, style=self._style(name))
        return line

    def _style(self, name: str) -> Style:
        return styles_of(self.app.theme, colour=not self.app.console.no_color)(name)
