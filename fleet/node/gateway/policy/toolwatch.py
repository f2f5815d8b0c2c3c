"""What an answer makes of the tools that were offered: heard beside the stream, after its bytes have gone out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fleet.traffic.chat_stream import Part
from fleet.traffic.tools.heard import Heard, Listener, heard_of
from fleet.traffic.tools.offered import Offered


class ToolWatch:
    """Of one request that offers tools. `offered` is what it offers."""

    __slots__ = ("_heard", "_listener", "_now", "offered")

    def __init__(self, offered: Offered, *, now: Callable[[], float] = time.monotonic) -> None:
        self.offered = offered
        self._now = now
        self._listener = Listener()
        self._heard: Heard | None = None

    def see(self, parts: Sequence[Part]) -> None:
        """These parts have gone to the client."""
        self._listener.feed(parts, self._now())

    def whole(self, answer: Mapping[str, Any]) -> None:
        """A whole answer came."""
        self._heard = heard_of(answer, self._now())

    def heard(self) -> Heard:
        """What was said until now."""
        return self._heard if self._heard is not None else self._listener.heard()
