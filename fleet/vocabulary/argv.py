"""A command is a value: a tuple of words, with one quoting rule. Standard library only; travels with sync."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Argv:
    """The words of one command. `text` is what plan output, journal, confirm box and tests print."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, *words: object) -> Argv:
        """The command of these words."""
        return cls(tuple(str(word) for word in words))

    def plus(self, *words: object) -> Argv:
        """The command with more words behind it."""
        return Argv(self.words + tuple(str(word) for word in words))

    @property
    def text(self) -> str:
        """The command quoted for POSIX sh."""
        return quote(self.words)


def quote(words: Iterable[str]) -> str:
    """`words` as one POSIX sh command line."""
    return " ".join(shlex.quote(word) for word in words)


def posix(script: str, *args: str) -> str:
    """A line that any login shell (zsh, bash 3.2, fish) hands to POSIX sh unchanged (FACTS section 2.6).

    `args` become $1, $2, ... of `script`.
    """
    return quote(("/bin/sh", "-c", script, "fleet", *args))
