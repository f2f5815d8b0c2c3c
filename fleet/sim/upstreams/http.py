"""A small HTTP server that lets its handlers misbehave: raw writes, resets, and the moment when a client left.

One task per connection. Nothing here is fit for the open network: it reads what well-behaved clients send.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

_LONGEST_HEAD = 64 * 1024
_PHRASES = {one.value: one.phrase for one in HTTPStatus}
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, no time: closing sends RST instead of FIN


class Over(Exception):
    """The exchange has ended before its answer was complete: the client left, or a fault says so."""


@dataclass(frozen=True)
class Request:
    """One request. Names of headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's value; None where it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(eq=False)
class Exchange:
    """A request and the way back to its client. Times are monotonic seconds.

    `gone` is set, and `closed_at` said, when the client has closed its side. `keep`: the connection may carry another.
    `generated_tokens` is what a model has made for it so far, said or not.
    """

    request: Request
    _line: _Connection
    arrived_at: float = field(default_factory=time.monotonic)
    closed_at: float | None = None
    ended_at: float | None = None
    generated_tokens: int = 0
    keep: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, data: bytes) -> None:
        """Write, and wait while the client reads too slowly. Raises Over when it has left."""
        if self.gone.is_set():
            raise Over
        await self._line.write(data)

    async def pause(self, seconds: float, *, blind: bool = False) -> None:
        """Let time pass. Raises Over as soon as the client leaves; `blind` does not look."""
        if blind:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await self.gone.wait()
        except TimeoutError:
            return
        raise Over

    async def hang(self) -> None:
        """Say nothing until the client leaves. Raises Over."""
        await self.gone.wait()
        raise Over

    def hang_up(self, *, reset: bool = False) -> None:
        """Close the connection now: after what was written, or by a reset that may overtake it."""
        self.keep = False
        self._line.hang_up(reset=reset)

    async def head(self, status: int, headers: Mapping[str, str], *, version: str = "1.1") -> None:
        """Status line and headers."""
        reason = _PHRASES.get(status, "X")
        lines = [f"HTTP/{version} {status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
        await self.send("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))


Handler = Callable[[Exchange], Awaitable[None]]


class HttpServer:
    """Listens on loopback. `async with` starts and stops it."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._server: asyncio.Server | None = None
        self._lines: set[_Connection] = set()
        self.port = 0

    async def start(self, port: int = 0) -> None:
        """Listen; port 0 = any that is free, then told by `port`. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self._handle, self._lines), "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End every connection."""
        if self._server is None:
            return
        self._server.close()
        tasks = [line.end() for line in tuple(self._lines)]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._server = None


class _Connection(asyncio.Protocol):
    def __init__(self, handle: Handler, lines: set[_Connection]) -> None:
        self._handle = handle
        self._lines = lines
        self._buffer = bytearray()
        self._more = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._left = False
        self._hung_up = False
        self._current: Exchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # uvloop's is one by its deeds only
        self._lines.add(self)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._more.set()

    def eof_received(self) -> bool:
        self._client_left()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the protocol's signature)
        self._client_left()
        self._writable.set()
        self._lines.discard(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def write(self, data: bytes) -> None:
        self._transport.write(data)
        await self._writable.wait()
        if self._transport.is_closing():
            if not self._hung_up:
                self._client_left()  # a reset is felt by the write, a moment before the connection is said to be lost
            raise Over

    def hang_up(self, *, reset: bool) -> None:
        self._hung_up = True
        if not reset:
            self._transport.close()
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def end(self) -> asyncio.Task[None]:
        self._task.cancel()
        self._transport.abort()
        return self._task

    def _client_left(self) -> None:
        self._left = True
        self._more.set()
        if self._current is not None and self._current.closed_at is None:
            self._current.closed_at = time.monotonic()
            self._current.gone.set()

    async def _serve(self) -> None:
        try:
            while (request := await self._read()) is not None:
                exchange = Exchange(request, self)
                self._current = exchange
                if self._left:
                    self._client_left()
                try:
                    await self._handle(exchange)
                except Over:
                    exchange.keep = False
                finally:
                    exchange.ended_at = time.monotonic()
                if not exchange.keep:
                    break
        finally:
            self._transport.close()

    async def _read(self) -> Request | None:
        """The next request; None at the end of the connection, and for what is none."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _LONGEST_HEAD or not await self._wait():
                return None
        first, *rest = self._take(end + 4).decode("latin-1").split("\r\n")
        words = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        length = headers.get("content-length", "0")
        if len(words) != 3 or not length.isdecimal():
            return None
        while len(self._buffer) < int(length):
            if not await self._wait():
                return None
        path, _, query = words[1].partition("?")
        return Request(words[0], unquote(path), dict(parse_qsl(query)), headers, self._take(int(length)))

    async def _wait(self) -> bool:
        """Until more has come; False when nothing will."""
        if self._left:
            return False
        self._more.clear()
        await self._more.wait()
        return True

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken
