"""Requests that say they are one request: what becomes of the second. Pure: whoever asks says what time it is.

A client that did not hear our answer asks again with the same `Idempotency-Key`. A whole answer that is still in memory
is given again, and costs nothing; while the first is under way, the second is told so; what failed is asked anew. All
of it is memory of this process, bounded in number, bytes and age: answers are never written down.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

LONGEST_TOKEN = 255


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it was sent."""

    body: bytes
    headers: Mapping[str, str]


class Repeat(Enum):
    """Why a request is not asked.

    `RUNNING`: the first is under way. `OTHER`: it has another body. `DONE`: the first was answered whole, and its
    answer is not kept (a stream, or too long).
    """

    RUNNING = "running"
    OTHER = "other"
    DONE = "done"


@dataclass(slots=True)
class _Known:
    digest: bytes
    since: float
    running: bool = True
    kept: Kept | None = None


class Repeats:
    """What is known of requests with a key of their own. The names are (client's key, its Idempotency-Key)."""

    def __init__(
        self,
        *,
        lasts_seconds: float = 86_400.0,
        most: int = 10_000,
        most_bytes: int = 64 * 1024 * 1024,
        longest_bytes: int = 1024 * 1024,
    ) -> None:
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._lasts = lasts_seconds
        self._most = most
        self._most_bytes = most_bytes
        self._longest = longest_bytes
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._known)

    def begin(self, name: tuple[str, str], digest: bytes, now: float) -> Kept | Repeat | None:
        """None: it is the first, and runs from now on (`end` must follow). Else its answer, or why it is not asked."""
        known = self._known.get(name)
        if known is not None and not known.running and now - known.since >= self._lasts:
            self._forget(name)
            known = None
        if known is None:
            self._make_room()
            self._known[name] = _Known(digest, now)
            return None
        if known.digest != digest:
            return Repeat.OTHER
        if known.running:
            return Repeat.RUNNING
        return known.kept or Repeat.DONE

    def end(self, name: tuple[str, str], now: float, *, whole: bool, kept: Kept | None = None) -> None:
        """The first has ended. What was not answered whole is forgotten: the next one is a first again."""
        known = self._known.get(name)
        if known is None or not known.running:
            return
        if not whole:
            self._forget(name)
            return
        known.running, known.since = False, now
        if kept is not None and len(kept.body) <= self._longest:
            known.kept = kept
            self.held_bytes += len(kept.body)
            self._known.move_to_end(name)
            self._shed()

    def _shed(self) -> None:
        """Let the oldest answers go until the rest fits; that they were given is still known."""
        for known in self._known.values():
            if self.held_bytes <= self._most_bytes:
                return
            if known.kept is not None:
                self.held_bytes -= len(known.kept.body)
                known.kept = None

    def _make_room(self) -> None:
        while len(self._known) >= self._most:
            oldest = next((name for name, known in self._known.items() if not known.running), None)
            if oldest is None:
                return
            self._forget(oldest)

    def _forget(self, name: tuple[str, str]) -> None:
        known = self._known.pop(name)
        if known.kept is not None:
            self.held_bytes -= len(known.kept.body)
