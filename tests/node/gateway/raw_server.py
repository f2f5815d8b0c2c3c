"""An upstream made of bytes: a script per connection, and what was sent, received and still open is counted."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, no time: closing sends RST instead of FIN
_BLOCK_BYTES = 64 * 1024


class Line:
    """One connection. `requests` counts those it carried, `accepted_bytes` what its peer has taken off our hands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.requests = 0
        self.accepted_bytes = 0
        self.gone = asyncio.Event()

    async def request(self) -> tuple[bytes, bytes]:
        """Head and body of the next request. Raises IncompleteReadError at the end."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        return head, await self.reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def flood(self, data: bytes, *, most_bytes: int) -> None:
        """Send until the peer takes no more, or `most_bytes` were taken. What is counted has left this process."""
        self.writer.transport.set_write_buffer_limits(0)
        while self.accepted_bytes < most_bytes:
            await self.send(data)
            self.accepted_bytes += len(data)

    async def drip(self, data: bytes) -> None:
        """Send every byte on its own."""
        for at in range(len(data)):
            await self.send(data[at : at + 1])
            await asyncio.sleep(0)

    def reset(self) -> None:
        """End with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.writer.transport.abort()

    async def left(self) -> None:
        """Until the peer closes. What it still sends is thrown away."""
        with suppress(ConnectionError):
            while await self.reader.read(_BLOCK_BYTES):
                pass


Talk = Callable[[Line], Awaitable[None]]


def says(*pieces: bytes) -> Talk:
    """Every request gets these bytes; the connection stays open as long as the peer wants."""

    async def talk(line: Line) -> None:
        while True:
            await line.request()
            for piece in pieces:
                await line.send(piece)

    return talk


def says_and_closes(*pieces: bytes) -> Talk:
    """The first request gets these bytes, then the connection ends."""

    async def talk(line: Line) -> None:
        await line.request()
        for piece in pieces:
            await line.send(piece)

    return talk


class RawServer:
    """`async with RawServer(talk) as server:`; it listens on loopback at `url`."""

    def __init__(self, talk: Talk, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.talk = talk
        self.lines: list[Line] = []
        self.open = 0
        self._tls = tls
        self._host = host
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://{self._host}:{self.port}"

    @property
    def requests(self) -> int:
        return sum(line.requests for line in self.lines)

    async def __aenter__(self) -> RawServer:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        line = Line(reader, writer)
        self.lines.append(line)
        self.open += 1
        try:
            await self.talk(line)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            self.open -= 1
            line.gone.set()
            writer.close()
