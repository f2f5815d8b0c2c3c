"""Server-sent events as an incremental state machine: bytes in, events out; and the way back. Pure.

Bytes may be split anywhere: between CR and LF, inside a UTF-8 sequence, after a colon. Lines end in LF, CRLF or CR.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST_LINE_BYTES = 1024 * 1024
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event: its data lines joined by LF, its name when it has one."""

    data: bytes
    name: bytes = b""


@dataclass(frozen=True, slots=True)
class SseComment:
    """A line that starts with a colon: a sign of life."""

    text: bytes


class SseOverflow(ValueError):
    """A line, or the data of one event, is longer than the bound."""


class SseParser:
    """Feed it what arrives. An event that its blank line never closed is not an event: `pending` tells."""

    __slots__ = ("_buffer", "_data", "_longest", "_name", "_size", "_skip_lf", "_started")

    def __init__(self, *, longest_bytes: int = LONGEST_LINE_BYTES) -> None:
        self._buffer = b""
        self._data: list[bytes] = []
        self._name = b""
        self._size = 0
        self._longest = longest_bytes
        self._skip_lf = False
        self._started = False

    @property
    def pending(self) -> bool:
        """Whether something arrived that is no whole event yet."""
        return bool(self._buffer or self._data)

    def feed(self, chunk: bytes) -> list[SseEvent | SseComment]:
        """The events and comments that `chunk` completes. Raises SseOverflow."""
        if self._skip_lf and chunk:
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        text = self._buffer + chunk if self._buffer else chunk
        if not self._started:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                self._buffer = text
                return []
            self._started = True
            text = text.removeprefix(_BOM)
        if b"\r" in text:
            self._skip_lf = text.endswith(b"\r")
            lines = _LINE_END.split(text)
        else:
            lines = text.split(b"\n")
        self._buffer = lines.pop()
        out: list[SseEvent | SseComment] = []
        for line in lines:
            self._line(line, out)
        if len(self._buffer) > self._longest:
            raise SseOverflow(f"a line of more than {self._longest} bytes")
        return out

    def _line(self, line: bytes, out: list[SseEvent | SseComment]) -> None:
        if len(line) > self._longest:
            raise SseOverflow(f"a line of more than {self._longest} bytes")
        if not line:
            if self._data:
                out.append(SseEvent(self._data[0] if len(self._data) == 1 else b"\n".join(self._data), self._name))
            self._data, self._name, self._size = [], b"", 0
            return
        if line.startswith(b":"):
            out.append(SseComment(line[1:].strip()))
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._size += len(value) + 1
            if self._size > self._longest:
                raise SseOverflow(f"an event of more than {self._longest} bytes")
            self._data.append(value)
        elif field == b"event":
            self._name = value


def event(data: bytes) -> bytes:
    """One event on the wire."""
    if b"\n" in data or b"\r" in data:
        return b"".join(b"data: %b\n" % line for line in _LINE_END.split(data)) + b"\n"
    return b"data: %b\n\n" % data


def comment(text: bytes = b"") -> bytes:
    """A sign of life on the wire."""
    return b": %b\n\n" % text


DONE = b"data: [DONE]\n\n"
"""The last event of a complete chat stream."""
