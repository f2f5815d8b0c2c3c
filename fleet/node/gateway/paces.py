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
    """One answer that has begun, in pieces. `over_at` is when its last token came, where somebody said so.

    `told`: a piece of it was counted.
    """

    __slots__ = (
        "_at",
        "_at_once",
        "_crowd_at",
        "_crowd_seconds",
        "_first_seconds",
        "_tokens",
        "_unread",
        "over_at",
        "told",
    )

    def __init__(self, crowd: Crowd, *, asked_at: float, now: float) -> None:
        self._at = self._crowd_at = now
        self._crowd_seconds = crowd.seconds(now)
        self._first_seconds = now - asked_at
        self._tokens = 0
        self._unread = 0.0
        self._at_once = 1.0
        self.over_at: float | None = None
        self.told = False

    def look(self, crowd: Crowd, now: float) -> None:
        """How many the server has had since the last piece. The last time is when it has this one no longer."""
        if now > self._crowd_at:
            self._at_once = (crowd.seconds(now) - self._crowd_seconds) / (now - self._crowd_at)

    def piece(self, tokens: int, at: float) -> Decoding:
        """What has come since the last piece: `tokens` in all, the last of them `at`."""
        return Decoding(
            at_once=self._at_once,
            tokens=max(0, tokens - 1 - self._tokens),
            seconds=at - self._at,
            first_token_seconds=self._first_seconds,
        )

    def unread(self, seconds: float) -> float:
        """Of `seconds` in all that its client did not read, those since the last piece."""
        return seconds - self._unread

    def passed(self, piece: Decoding, crowd: Crowd, now: float, *, unread_seconds: float) -> None:
        """That piece is done with; the next one begins where it ended."""
        self._tokens += piece.tokens
        self._at += piece.seconds
        self._unread = unread_seconds
        self._crowd_at, self._crowd_seconds = now, crowd.seconds(now)


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
        said = usage.get("completion_tokens") if usage else None
        piece = timing.piece(said if type(said) is int else chunks, now if timing.over_at is None else timing.over_at)
        if piece.speaks or (timing.told and piece.tokens and piece.credible):
            self._count(timing, piece, now, unread_seconds)

    def so_far(self, timing: Timing, now: float, *, chunks: int, at: float, unread_seconds: float) -> None:
        """An answer goes on, and its last chunk came `at`: a long one is no secret until it ends."""
        timing.look(self.crowd, now)
        piece = timing.piece(chunks, min(at, now))
        if piece.tokens and piece.speaks:
            self._count(timing, piece, now, unread_seconds)
            timing.passed(piece, self.crowd, now, unread_seconds=unread_seconds)

    def _count(self, timing: Timing, piece: Decoding, now: float, unread_seconds: float) -> None:
        if timing.unread(unread_seconds) > piece.seconds * _MOST_UNREAD_SHARE:
            return
        self.window.add(now, piece, first=not timing.told)
        self.recent.add(now, piece, first=not timing.told)
        timing.told = True
        self.tokens_total += piece.tokens
        self.seconds_total += piece.seconds

    def generated(self) -> None:
        """A request or a probe got something of it: it refuses no longer."""
        self.refusing_since = None

    def failed(self, failure: UpstreamFailure, now: float) -> None:
        """A request or a probe did not: whether it refuses now. A process that is gone refuses nothing."""
        if not failure.reached:
            self.refusing_since = None
        elif failure.asked and failure.error.kind is ErrorKind.UNAVAILABLE and self.refusing_since is None:
            self.refusing_since = now
