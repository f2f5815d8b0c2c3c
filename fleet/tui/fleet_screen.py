"""What the screens over one board share: how cells become text, and which nodes an action would be about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar, NamedTuple

import msgspec
from rich.style import Style
from rich.text import Text
from textual._styles_cache import StylesCache
from textual.screen import Screen
from textual.signal import Signal

from fleet.control.watch.view import FleetView
from fleet.tui.actions import Verb
from fleet.tui.board import Board
from fleet.tui.lines import Cell
from fleet.tui.tones import styles_of
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName


class Aim(NamedTuple):
    """What a verb that is not about nodes would be about: its one word, and what is known of that; "" = not known."""

    word: str = ""
    says: str = ""


def status_document(view: FleetView | None, nodes: Collection[NodeName]) -> object:
    """What `fleet status --json` says of these nodes. None before the first look."""
    if view is None:
        return None
    return msgspec.to_builtins(msgspec.structs.replace(view, rows=tuple(row for row in view.rows if row.node in nodes)))


class FleetScreen(Screen[None]):
    """Shows a board. What moves it is the signal. `NAME` is what it is called, in help and in names of files."""

    NAME: ClassVar[str] = "fleet"

    def __init__(self, board: Board, *, clock: Clock, unicode: bool, looked: Signal[FleetView | None]) -> None:
        super().__init__()
        self._board = board
        self._clock = clock
        self._unicode = unicode
        self._looked = looked

    def on_screen_resume(self) -> None:
        """Something over it was closed: let it go.

        Textual (8.2) remembers grounds by widget, a thousand of them, closed ones with all their painted lines: that is
        0.1 to 0.4 MB for each box or screen that was ever open.
        """
        StylesCache.get_inner_outer.cache_clear()

    def on_unmount(self) -> None:
        """Hear of nothing any more: a signal holds on to whoever listens until it is told something again."""
        self._looked.unsubscribe(self)
        self.app.theme_changed_signal.unsubscribe(self)

    @property
    def aimed_at(self) -> tuple[NodeName, ...]:
        """The nodes that an action would be about now."""
        raise NotImplementedError

    def aim(self, verb: str) -> Aim:  # noqa: ARG002 (for screens that show what verbs are about)
        """What a verb that asks would be about now. Without a word the box asks for it."""
        return Aim()

    def offers(self, verb: Verb) -> bool:
        """Whether a verb has its key here now."""
        return not verb.only_aimed or bool(self.aim(verb.word).word)

    def foots(self, verb: Verb) -> bool:
        """Whether the foot has the key of a verb that is offered: not of one that would first ask what it is about."""
        return not verb.asks or bool(self.aim(verb.word).word)

    def document(self) -> object:
        """What it shows, as the command line tells it with `--json`. None when there is nothing to tell."""
        return None

    def _text(self, lines: Iterable[Sequence[Cell]]) -> Text:
        return Text("\n").join(map(self._line, lines))

    def _line(self, cells: Sequence[Cell]) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        for text, name in cells:
            line.append(text, style=self._style(name))
        return line

    def _style(self, name: str) -> Style:
        return styles_of(self.app.theme, colour=not self.app.console.no_color)(name)
