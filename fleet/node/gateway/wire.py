"""One HTTP/1.1 connection to an upstream, by llhttp (httptools): one exchange at a time, bytes handed on as they come.

The relay asks very little of a client: POST a body, read a head and a body, cut it short. aiohttp's client does far
more, and that was half of what a request cost (docs/decisions/0010).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Mapping

import httptools

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, no time
_LONGEST_HEAD_BYTES = 64 * 1024
_PAUSE_BYTES = 64 * 1024
_SLICE_BYTES = 32 * 1024
"""What `read` gives at most, but for one larger piece: a loop may deliver 256 KiB at once, and each step copies it."""


class Broken(Exception):
    """The connection ended, or spoke no HTTP. `answered`: some of an answer had come."""

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered


class Wire(asyncio.Protocol):
    """A connection. `ask` sends a request and waits for the head; then `read` gives the body until `complete`."""

    __slots__ = (
        *("_chunks", "_closed", "_framed", "_head_bytes", "_kept_alive", "_parser", "_paused", "_pending_bytes"),
        *("_raw_bytes", "_waiter", "complete", "exchanges", "headers", "idle_since", "status", "transport"),
    )  # fmt: skip

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.exchanges = 0
        self.idle_since = 0.0
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None
        self._reset()

    def _reset(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self._kept_alive = False
        self._framed = False
        self._head_bytes = 0
        self._raw_bytes = 0  # until the head is complete
        self._chunks: list[bytes] = []
        self._pending_bytes = 0
        self._paused = False
        self._parser = httptools.HttpResponseParser(self)

    @property
    def usable(self) -> bool:
        """Whether another request may be sent: the last exchange left nothing behind, and the peer wants to go on."""
        if self._closed or self.transport is None:
            return False
        if not self.exchanges:
            return True
        return self.complete and self._kept_alive and not self._paused and not self.transport.get_write_buffer_size()

    @property
    def read_out(self) -> bool:
        """Whether the answer is complete and all of it was read."""
        return self.complete and not self._chunks

    async def ask(self, head: bytes, body: bytes) -> None:
        """Send a request and wait for the head of its answer: `status` and `headers`. Raises Broken."""
        transport = self.transport
        if transport is None or self._closed:
            raise Broken("the connection is closed", answered=False)
        if self.exchanges:
            self._reset()
        self.exchanges += 1
        if len(body) < _PAUSE_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        while not self._framed:
            if self._closed:
                raise Broken("closed the connection without an answer", answered=self._raw_bytes > 0)
            await self._news()

    async def read(self) -> bytes:
        """The next bytes of the body; b"" at its end, however it ended: `complete` tells."""
        while not self._chunks:
            if self.complete or self._closed:
                return b""
            await self._news()
        chunks = self._chunks
        if self._pending_bytes > _SLICE_BYTES and len(chunks) > 1:
            return self._slice(chunks)
        self._chunks = []
        self._pending_bytes = 0
        if self._paused and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _slice(self, chunks: list[bytes]) -> bytes:
        size = count = 0
        while count < len(chunks) and (not count or size + len(chunks[count]) <= _SLICE_BYTES):
            size += len(chunks[count])
            count += 1
        data = b"".join(chunks[:count])
        del chunks[:count]
        self._pending_bytes -= size
        return data

    def cut(self) -> None:
        """Close at once, without TLS's long goodbye.

        In the middle of an answer by RST: after a FIN a server's next write still succeeds, and one that looks for its
        client only when it writes (mlx_lm in a prefill) would do one step more for nobody.
        """
        self._closed = True
        transport = self.transport
        if transport is None:
            return
        sock = transport.get_extra_info("socket") if self.exchanges and not self.complete else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()

    async def _news(self) -> None:
        self._waiter = waiter = asyncio.get_running_loop().create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def _tell(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = transport  # type: ignore[assignment]  # a stream's transport is one that writes

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol. What comes when nothing was asked, or after the end, ends the connection."""
        if self.complete or not self.exchanges:
            self.cut()
            return
        if not self._framed:
            self._raw_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, UnicodeDecodeError, OverflowError):
            self.cut()
        if self._raw_bytes > _LONGEST_HEAD_BYTES and not self._framed:
            self.cut()  # a line without an end is in no callback
        if self._pending_bytes > _PAUSE_BYTES and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()
        self._tell()

    def eof_received(self) -> None:
        """See asyncio.Protocol."""

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol. A body without a length ends with its connection, unless that was reset."""
        unbounded = "content-length" not in self.headers and "transfer-encoding" not in self.headers
        if self._framed and not self.complete and unbounded and not self._closed and exc is None:
            self.complete = True
        self._closed = True
        self._tell()

    # --- what the parser tells ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A head begins. A second answer in the bytes of the first is none of ours, and the connection is spoilt."""
        if self.complete:
            self._kept_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. Of one that comes twice the last counts; a trailer counts for nothing."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > _LONGEST_HEAD_BYTES:
            raise OverflowError("the head of an answer is too long")
        if self._framed:
            return
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is here. 1xx are words on the way, not the answer."""
        status = self._parser.get_status_code()
        if status >= 200 and not self._framed:
            self.status = status
            self._framed = True

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        if self.complete:
            return
        self._chunks.append(body)
        self._pending_bytes += len(body)

    def on_message_complete(self) -> None:
        """The end, when it was an answer."""
        if self.complete:
            return
        if self._framed:
            self.complete = True
            self._kept_alive = bool(self._parser.should_keep_alive())  # llhttp knows it here only
        else:
            self.headers = {}


def head_of(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request, without its last empty line. Raises ValueError for what is no header."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any(char in line for line in lines for char in "\r\n\0"):
        raise ValueError("a line break in a header")
    return "\r\n".join([*lines, ""]).encode("latin-1")
