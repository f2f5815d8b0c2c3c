"""What an answer said that was offered tools: kept beside the stream, looked at when it has ended.

Nothing is parsed while the stream runs: the bytes of chunks are kept as they came, up to a bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from fleet.traffic.assemble import Assembler
from fleet.traffic.chat_stream import Chunk, Part
from fleet.traffic.work import Work

LONGEST_BYTES = 1024 * 1024
"""An answer with tool calls that is longer is not looked at."""
_CALL = (b'"tool_calls"', b'"function_call"')


class ToolWatch:
    """Hears one answer. `calls_at`: when the last piece of a tool call came, in monotonic seconds."""

    __slots__ = ("_chunks", "_now", "_size", "_whole", "calls_at", "overflowed")

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._chunks: list[bytes] = []
        self._size = 0
        self._whole: dict[str, Any] | None = None
        self.calls_at: float | None = None
        self.overflowed = False

    def see(self, parts: Sequence[Part]) -> None:
        """These parts have gone to the client."""
        if self.overflowed:
            return
        for part in parts:
            if not isinstance(part, Chunk):
                continue
            data = part.data
            self._size += len(data)
            self._chunks.append(data)
            if _CALL[0] in data or _CALL[1] in data:
                self.calls_at = self._now()
        if self._size > LONGEST_BYTES:
            self.overflowed = True
            self._chunks.clear()

    def whole(self, answer: dict[str, Any]) -> None:
        """A whole answer came."""
        self._whole = answer
        self.calls_at = self._now()

    def answer(self) -> dict[str, Any] | None:
        """The answer so far, assembled; None when it was too long, or when nothing came."""
        if self._whole is not None or self.overflowed or not self._chunks:
            return self._whole
        assembler = Assembler(work=Work.CHAT)
        for data in self._chunks:
            try:
                chunk = msgspec.json.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if isinstance(chunk, dict):
                assembler.add(chunk)
        return assembler.answer()
