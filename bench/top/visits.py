"""A person at `fleet top` who uses all of it: moves, sorts, filters, marks, opens every screen, and changes nothing."""

from __future__ import annotations

import random

from bench.top.terminal import Terminal
from fleet.tui.app import FleetTop

_SIZES = ((80, 24), (100, 30), (120, 40), (160, 45), (200, 60), (60, 15))
_FILTERS = (b"mac-2", b"state>=warn", b"!mac-1", b"headroom<=2GiB", b"problem=swap")
_UP, _DOWN, _ESCAPE, _ENTER, _BACK = b"\x1b[A", b"\x1b[B", b"\x1b", b"\r", b"\x7f"
_PAUSE_SECONDS = 0.6
_NO_SCREENS = ("quit", "show_help_panel", "next_theme")


def screen_keys() -> list[bytes]:
    """The keys of the application that open a screen, those of screens to come among them."""
    keys = [getattr(one, "key", "") for one in FleetTop.BINDINGS if getattr(one, "action", "") not in _NO_SCREENS]
    return [key.encode() for key in keys if len(key) == 1]


class Visitor:
    """Goes round and round. Actions are opened and refused: `n`."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._chance = random.Random(4)
        self.rounds = 0

    def round(self) -> None:
        """All of it once, some of it in another way than before. Raises Ended."""
        self.rounds += 1
        self._type(*[self._chance.choice((_UP, _DOWN)) for _ in range(8)], pause=0.1)
        self._type(b"s", b"S", b" ", b" ", _ESCAPE)
        self._filter(self._chance.choice(_FILTERS))
        self._type(_ENTER, b"1", b"2", b"3", _ESCAPE)
        for key in screen_keys():
            self._type(key, _DOWN, _DOWN, b"l", b"l")
            self._filter(b"mac")
            self._type(_ESCAPE)
        self._type(b"?", b"?", b"\x10", b"the", _ESCAPE, b"t")
        self._type(b"D", b"n", _ESCAPE)
        self._resize(*self._chance.choice(_SIZES))
        self._type(_DOWN, _UP, _ENTER, _ESCAPE)
        self.home()

    def home(self) -> None:
        """Back to the first screen, which is looked at for a while."""
        self._type(_ESCAPE, _ESCAPE)
        self._terminal.read(5.0)

    def _filter(self, text: bytes) -> None:
        self._type(b"/")
        self._type(*[text[at : at + 1] for at in range(len(text))], *[_BACK] * (len(text) // 2), pause=0.1)
        self._type(_ENTER, _ESCAPE)

    def _resize(self, columns: int, lines: int) -> None:
        self._terminal.resize(columns, lines)
        self._terminal.read(_PAUSE_SECONDS)

    def _type(self, *keys: bytes, pause: float = _PAUSE_SECONDS) -> None:
        for key in keys:
            self._terminal.type(key)
            self._terminal.read(pause)
