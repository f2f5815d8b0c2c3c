"""What a terminal would show: as much of one as Textual speaks to. Pure.

Places, colours of the ground and text are understood; every character is one cell wide. What is not understood is
skipped, and a sequence that is cut waits for its rest.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"\x1b\[(?P<words>[0-9;:?<=>]*)[ -/]*(?P<verb>[@-~])"
    r"|\x1b[PX^_\]].*?(?:\x1b\\|\x07)|\x1b[()][0-9A-Za-z]|\x1b[=>78cDEHMNOZ]"
    r"|(?P<text>[^\x00-\x1f\x7f]+)|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])",
    re.DOTALL,
)
_COLOUR = {"2": 3, "5": 1}
"""After 38 and 48: how many words the colour has."""


class Vt:
    """A grid of characters, each with the colour of its ground ("" = the usual one)."""

    def __init__(self, columns: int, lines: int) -> None:
        self._rest = ""
        self._ground = ""
        self._x = self._y = 0
        self.resize(columns, lines)

    def resize(self, columns: int, lines: int) -> None:
        """Another size; all is blank, for whoever draws draws all of it again."""
        self.columns, self.lines = columns, lines
        self._cells = [[(" ", "")] * columns for _ in range(lines)]

    def feed(self, text: str) -> None:
        """What the program wrote."""
        text, at = self._rest + text, 0
        while match := _TOKEN.match(text, at):
            at = match.end()
            if match["text"]:
                self._put(match["text"])
            elif match["verb"]:
                self._obey(match["verb"], match["words"])
            elif match["control"]:
                self._control(match["control"])
        self._rest = text[at:]

    def line(self, y: int) -> str:
        """One line as text."""
        return "".join(char for char, _ in self._cells[y])

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.line(y).rstrip() for y in range(self.lines))

    def ground(self, x: int, y: int) -> str:
        """The colour of the ground in one place."""
        return self._cells[y][x][1]

    def _put(self, text: str) -> None:
        if self._y < self.lines:
            row = self._cells[self._y]
            for char in text[: self.columns - self._x]:
                row[self._x] = (char, self._ground)
                self._x += 1

    def _control(self, char: str) -> None:
        if char == "\r":
            self._x = 0
        elif char == "\n":
            self._y += 1
        elif char == "\b":
            self._x = max(0, self._x - 1)

    def _obey(self, verb: str, words: str) -> None:
        if words[:1] in ("?", "<", "=", ">"):
            return
        if verb in "Hf":
            y, _, x = words.partition(";")
            self._y, self._x = int(y or 1) - 1, int(x or 1) - 1
        elif verb == "m":
            self._colour(re.split("[;:]", words))
        elif verb == "J" and words in ("2", "3"):
            self.resize(self.columns, self.lines)
        elif verb == "K" and self._y < self.lines:
            rest = self.columns - self._x
            self._cells[self._y][self._x :] = [(" ", self._ground)] * rest

    def _colour(self, words: list[str]) -> None:
        at = 0
        while at < len(words):
            word = words[at]
            if word in ("38", "48"):
                ends = at + 2 + _COLOUR.get(words[at + 1] if at + 1 < len(words) else "", 0)
                if word == "48":
                    self._ground = ";".join(words[at + 1 : ends])
                at = ends
                continue
            if word in ("", "0", "49"):
                self._ground = ""
            elif word.isdecimal() and (40 <= int(word) <= 47 or 100 <= int(word) <= 107):
                self._ground = word
            at += 1
