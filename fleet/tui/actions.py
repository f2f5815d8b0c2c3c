"""What can be done from the screen: verbs of the command line, and nothing else. The screen itself changes nothing.

One code path: the screen runs the very command that its box shows, so what it says and does is what the verb says and
does, its checks, its hints and its line in the audit among it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fleet.vocabulary.names import NodeName

UNDO = "rollback run"
"""The verb that takes back what a run did, by its word on the screen."""


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A verb of the command line on a key.

    `says` is the verb's own help. `asks` names what it is about, where that is no node: the screen asks for it. With
    `in_terminal` the verb gets the terminal, shows its plan there and asks there. With `only_aimed` it is offered where
    a screen knows what it would be about, and nowhere else.
    """

    key: str
    word: str
    before: tuple[str, ...]
    after: tuple[str, ...] = ()
    says: str = ""
    asks: str = ""
    in_terminal: bool = False
    one_node: bool = False
    joined: bool = False
    only_aimed: bool = False

    @property
    def about_nodes(self) -> bool:
        """Whether it wants nodes."""
        return not self.asks

    def argv(self, nodes: Sequence[NodeName], asked: str = "") -> tuple[str, ...]:
        """The words after `fleet`. With `joined` the nodes are one selector."""
        if self.asks:
            return (*self.before, asked, *self.after)
        names = (",".join(nodes),) if self.joined else tuple(nodes)
        return (*self.before, *names, *self.after)


@dataclass(frozen=True)
class Outcome:
    """How a verb ended, and all that it said."""

    exit_code: int
    text: str


class Actions(Protocol):
    """Runs verbs. Where there is none of it, the screen is for reading only."""

    @property
    def verbs(self) -> tuple[Verb, ...]:
        """Those that the screen offers."""
        ...

    def run(self, argv: Sequence[str]) -> Outcome:
        """Run it to its end, with nobody to ask. Called in a thread."""
        ...

    def in_terminal(self, argv: Sequence[str]) -> None:
        """Run it with the terminal in its hands."""
        ...


def command_text(argv: Sequence[str]) -> str:
    """As a person would type it."""
    return f"fleet {shlex.join(argv)}"
