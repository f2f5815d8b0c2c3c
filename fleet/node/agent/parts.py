"""What the agent's one thread runs: parts that react to sockets and to time, and never wait."""

from __future__ import annotations

import math
import selectors
from collections.abc import Callable
from typing import Protocol

NEVER = math.inf

OnReady = Callable[[int], None]
"""What a file object is registered with: called with the selector's event mask."""


class Part(Protocol):
    """Something with deadlines. Times are of the monotonic clock, seconds."""

    def next_at(self) -> float:
        """When `wake` should be called at the latest; NEVER for not at all."""
        ...

    def wake(self, now: float) -> None:
        """Do what is due."""
        ...


class Watched:
    """One file object in the selector: what it is watched for may change, and leaving twice is allowed."""

    def __init__(self, selector: selectors.BaseSelector, file: int, events: int, on_ready: OnReady) -> None:
        self._selector, self._file, self._on_ready = selector, file, on_ready
        self._events = events
        selector.register(file, events, on_ready)

    def watch(self, events: int) -> None:
        """Watch for `events` from now on."""
        if events != self._events:
            self._selector.modify(self._file, events, self._on_ready)
            self._events = events

    def leave(self) -> None:
        """Watch no more. Call it before the file is closed."""
        if self._events:
            self._selector.unregister(self._file)
            self._events = 0
