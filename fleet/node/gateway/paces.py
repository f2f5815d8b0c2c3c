"""How fast the node's own sidecars answer, from the answers themselves: no work per chunk, little per answer.

Of an answer the gateway knows when it was asked for, when its first and last tokens came, and how many tokens there
were: by its usage, else by the chunks. What a client that reads slowly delays says nothing of the server.
Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.engines import ErrorKind
from fleet.node.gateway.failures import UpstreamFailure
from fleet.traffic.pace import RECENT_SECONDS, RECENT_SLOTS, Decoding, PaceWindow

_MOST_UNREAD_SHARE = 0.05


class Crowd:
    """How many requests a server has, over time: O(1) for each that comes or goes."""

    __slots__ = ("_now", "_since", "_sum")

    def __init__(self) -> None:
        self._now = 0
        self._sum = 0.0
        self._since = 0.0

    def change(self, by: int, now: float) -> None:
        """So many more are there from now on."""
        self._sum = self.seconds(now)
        self._since = now
        self._now += by

    def seconds(self, now: float) -> float:
        """Requests times seconds so far: what it grew by, divided by the time that took, is how many on average."""
        return self._sum + self._now * (now - self._since)


class Timing:
    """One answer that has begun. `over_at` is when its last token came; where nobody said, when it was let go."""

    __slots__ = ("_at_once", "_began_at", "_crowd_seconds", "_first_seconds", "over_at")

    def __init__(self, crowd: Crowd, *, asked_at: float, now: float) -> None:
        self._began_at = now
        self._first_seconds = now - asked_at
        self._crowd_seconds = crowd.seconds(now)
        self._at_once = 1.0
        self.over_at: float | None = None

    def let_go(self, crowd: Crowd, now: float) -> None:
        """The server has it no longer."""
        if now > self._began_at:
            self._at_once = (crowd.seconds(now) - self._crowd_seconds) / (now - self._began_at)
        if self.over_at is None:
            self.over_at = now

    def decoding(self, tokens: int) -> Decoding:
        """What it was, with so many tokens in all."""
        over_at = self._began_at if self.over_at is None else self.over_at
        return Decoding(
            at_once=self._at_once,
            tokens=tokens - 1,
            seconds=over_at - self._began_at,
            first_token_seconds=self._first_seconds,
        )


class Pace:
    """The pace of one sidecar, and whether it answers at all. The totals are of answers that speak of pace."""

    def __init__(self) -> None:
        self.window = PaceWindow()
        self.recent = PaceWindow(window_seconds=RECENT_SECONDS, slots=RECENT_SLOTS)
        self.crowd = Crowd()
        self.tokens_total = 0
        self.seconds_total = 0.0
        self.answered_at: float | None = None
        self.refusing_since: float | None = None

    def ended(
        self,
        timing: Timing,
        now: float,
        *,
        whole: bool,
        usage: Mapping[str, Any] | None,
        chunks: int,
        unread_seconds: float,
    ) -> None:
        """An answer ended, `whole` or not. `unread_seconds`: for how long its client did not read."""
        if whole:
            self.answered_at = now
        told = usage.get("completion_tokens") if usage else None
        decoding = timing.decoding(told if type(told) is int else chunks)
        if decoding.speaks and unread_seconds <= decoding.seconds * _MOST_UNREAD_SHARE:
            self.window.add(now, decoding)
            self.recent.add(now, decoding)
            self.tokens_total += decoding.tokens
            self.seconds_total += decoding.seconds

    def generated(self) -> None:
        """A request or a probe got something of it: it refuses no longer."""
        self.refusing_since = None

    def failed(self, failure: UpstreamFailure, now: float) -> None:
        """A request or a probe did not: whether it refuses now. A process that is gone refuses nothing."""
        if not failure.reached:
            self.refusing_since = None
        elif failure.asked and failure.error.kind is ErrorKind.UNAVAILABLE and self.refusing_since is None:
            self.refusing_since = now
