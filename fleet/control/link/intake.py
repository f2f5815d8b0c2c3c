"""A command's output as it is asked for (some, so many bytes, a line), and the words for when it does not come."""

from __future__ import annotations

from collections.abc import Callable

from fleet.control.link.deadline import Deadline
from fleet.control.link.protocol import ChannelEnded
from fleet.errors import Unreachable

_GO_ON = "the same command again goes on where this one stopped"


class Intake:
    """What a command said and nobody took yet.

    `more` waits until a deadline and adds what came (at least one byte, up to about a limit); False at the end of
    output. `ended` is the error for an end that came too early.
    """

    def __init__(self, *, more: Callable[[Deadline, int], bool], ended: Callable[[bytes], ChannelEnded]) -> None:
        self._buffer = bytearray()
        self._more = more
        self._ended = ended

    def __len__(self) -> int:
        return len(self._buffer)

    def add(self, data: bytes) -> None:
        """Something came."""
        self._buffer += data

    def some(self, limit: int, *, within_seconds: float) -> bytes:
        """What is there, at least one byte; b"" at the end of output."""
        if not self._buffer:
            self._more(Deadline.after(within_seconds), limit)
        return self._take(limit)

    def exactly(self, count: int, *, within_seconds: float) -> bytes:
        """`count` bytes. Raises ChannelEnded."""
        deadline = Deadline.after(within_seconds)
        while len(self._buffer) < count:
            if not self._more(deadline, max(65536, count - len(self._buffer))):
                raise self._ended(self._take(count))
        return self._take(count)

    def line(self, limit: int, *, within_seconds: float) -> bytes:
        """Up to and with the next newline, or `limit` bytes without one. Raises ChannelEnded."""
        deadline = Deadline.after(within_seconds)
        seen = 0
        while (at := self._buffer.find(b"\n", seen, limit)) < 0 and len(self._buffer) < limit:
            seen = len(self._buffer)
            if not self._more(deadline, 65536):
                raise self._ended(self._take(limit))
        return self._take(at + 1 if at >= 0 else limit)

    def _take(self, count: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return taken


def last_words(stderr: str) -> str:
    """The end of what a command said on stderr, for the detail of an error."""
    return "\n".join(line[-200:] for line in stderr.strip().splitlines()[-5:])


def silent(what: str, seconds: float | None, *, stderr: str, node: str) -> Unreachable:
    """The error for a node that did not do something in time."""
    within = f" within {seconds:g} s" if seconds is not None else " in time"
    return Unreachable(
        f"the node {what}{within}",
        detail=last_words(stderr),
        hint=f"it may be asleep, swapping, or cut off; {_GO_ON}",
        node=node,
    )


def lost(cause: object, *, connected: bool, stderr: str, node: str) -> Unreachable:
    """The error for a channel that is gone, with its connection or (`connected`) without."""
    what = "the node closed the channel" if connected else "the connection was lost"
    text = str(cause) if cause is not None else ""
    return Unreachable(what + (f": {text}" if text else ""), detail=last_words(stderr), hint=_GO_ON, node=node)
