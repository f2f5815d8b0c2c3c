"""When to connect once more: sshd hangs up at random while too many are at its door (MaxStartups)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fleet.control.link.deadline import Deadline
from fleet.errors import Unreachable

T = TypeVar("T")

_WAITS_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0)


class Dropped(Unreachable):
    """The server hung up before it said a word."""


@dataclass(frozen=True)
class Patience:
    """How to wait between two tries. `sleep` and `share` (0..1) are passed in by tests."""

    sleep: Callable[[float], None]
    share: Callable[[], float] = random.random

    def until_let_in(self, connect: Callable[[], T], *, deadline: Deadline) -> T:
        """What `connect` returns; it is called again after Dropped, with jitter, while there is time."""
        for wait in _WAITS_SECONDS:
            try:
                return connect()
            except Dropped as dropped:
                pause = wait * (0.5 + self.share())
                if pause >= deadline.left_seconds:
                    raise dropped from None
                self.sleep(pause)
        return connect()
