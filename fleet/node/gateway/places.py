"""A place on an upstream: what one request takes there, and gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.node.gateway.paces import Timing
from fleet.traffic.avoided import Avoided
from fleet.traffic.estimate import expected_output_tokens
from fleet.traffic.work import Shape


class Place:
    """Taken when it is made. `leave` gives it back, once; what is called after that does nothing.

    `avoided`: whom health kept the request from.
    """

    __slots__ = (
        *("_asked_at", "_chain", "_clock", "_freed", "_held", "_matched", "_output", "_pace", "_prefill"),
        *("_prompt_bytes", "_timing", "_trial", "avoided", "upstream"),
    )

    def __init__(
        self,
        upstream: LiveUpstream,
        shape: Shape,
        *,
        clock: Callable[[], float],
        freed: Callable[[], None],
        avoided: tuple[Avoided, ...] = (),
    ) -> None:
        self.upstream = upstream
        self.avoided = avoided
        self._clock = clock
        self._freed: Callable[[], None] | None = freed
        self._asked_at = now = clock()
        self._timing: Timing | None = None
        self._pace = upstream.pace
        if self._pace is not None:
            self._pace.crowd.change(1, now)
        self._chain = shape.chain
        self._prompt_bytes = size = shape.prompt_bytes
        prompt = upstream.ratio.tokens(size) if size else shape.prompt_tokens
        seen = upstream.prefixes.matched_bytes(shape.chain) if shape.chain else 0
        self._matched: int | None = min(upstream.ratio.tokens(seen), prompt)
        self._output = expected_output_tokens(shape)
        self._prefill = prompt - self._matched
        self._held = prompt + self._output
        self._trial = 0
        load = upstream.load
        load.in_flight += 1
        load.outstanding_tokens += self._prefill + self._output
        load.held_tokens += self._held
        if upstream.circuit.opens_at is not None and upstream.circuit.lets_through(now):
            upstream.circuit = upstream.circuit.tried(now)
            self._trial = upstream.circuit.trial

    def began(self) -> None:
        """The first token came: the prompt is done, and the server has it in memory."""
        if self._freed is None:
            return
        if self._pace is not None:
            self._timing = Timing(self._pace.crowd, asked_at=self._asked_at, now=self._clock())
        self.upstream.load.outstanding_tokens -= self._prefill
        self._prefill = 0
        if self._chain:
            self.upstream.prefixes.remember(self._chain)
            self._chain = ()
        if self._trial:
            self._end_trial()
            self._freed()

    def over(self) -> None:
        """The answer is whole."""
        now = self._clock()
        if self._timing is not None:
            self._timing.over_at = now
        self.upstream.proved(now)

    def learned(self, usage: Mapping[str, Any]) -> None:
        """What the upstream counted; the first time counts."""
        if self._matched is None:
            return
        self.upstream.learned(usage, prompt_bytes=self._prompt_bytes, matched_tokens=self._matched)
        self._matched = None

    def leave(self) -> None:
        """Give it back; who waits looks again."""
        freed, self._freed = self._freed, None
        if freed is None:
            return
        if self._pace is not None:
            now = self._clock()
            if self._timing is not None:
                self._timing.look(self._pace.crowd, now)
            self._pace.crowd.change(-1, now)
        load = self.upstream.load
        load.in_flight -= 1
        load.outstanding_tokens -= self._prefill + self._output
        load.held_tokens -= self._held
        if self._trial:
            self._end_trial()
        freed()

    def so_far(self, *, chunks: int, at: float, unread_seconds: float) -> None:
        """What has come of an answer that goes on; the last chunk `at`."""
        if self._pace is not None and self._timing is not None:
            self._pace.so_far(self._timing, self._clock(), chunks=chunks, at=at, unread_seconds=unread_seconds)

    def told(self, *, whole: bool, usage: Mapping[str, Any] | None, chunks: int, unread_seconds: float) -> None:
        """What became of an answer that began, after `leave`: once."""
        timing, self._timing = self._timing, None
        if self._pace is not None and timing is not None:
            self._pace.ended(
                timing, self._clock(), whole=whole, usage=usage, chunks=chunks, unread_seconds=unread_seconds
            )

    def _end_trial(self) -> None:
        """The next trial may go: this one said something, or nothing and never will."""
        self.upstream.circuit = self.upstream.circuit.lost(self._trial)
        self._trial = 0
