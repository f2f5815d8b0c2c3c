"""Clients that read slowly or not at all: nothing is lost, nothing piles up, and who never reads is cut."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from gateway_harness import KEY, Running, Start, until
from raw_server import Line, RawServer
from surface_kit import SURFACES

from fleet.traffic.config import Breaker, Probing, Timeouts, Upstream

PIECE = b"0123456789abcdef" * 256
CHAT = b'data: {"id":"c1","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % PIECE
TEXTS = CHAT.replace(b'"delta":{"content":', b'"text":').replace(b'"}}]}', b'"}]}')
END = b'data: {"id":"c1","created":7,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
MODELS = b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"data":[{"id": "m"}]}'
ENDS = (b"data: [DONE]", b"event: response.completed", b"event: message_stop")
BIG_BYTES = 48 * 1024 * 1024
KERNELS_BYTES = 24 * 1024 * 1024
"""What sockets on loopback may hold between four ends that nobody bounds; the gateway's own share is far less."""


class Upstreams:
    """Streams `size` bytes to every request, as fast as they are taken."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.lines: list[Line] = []

    async def talk(self, line: Line) -> None:
        while True:
            head, _ = await line.request()
            if not head.startswith(b"GET"):
                break
            await line.send(MODELS)
        self.lines.append(line)
        piece = TEXTS if b"/v1/completions" in head else CHAT
        await line.send(HEAD)
        await line.flood(piece, most_bytes=self.size)
        end = END.replace(b'"delta":{}', b'"text":""') if piece is TEXTS else END
        await line.send(end + b"data: [DONE]\n\n")


Begin = Callable[..., Any]


@pytest.fixture(name="begin")
async def _begin(start: Start) -> AsyncIterator[Begin]:
    servers: list[RawServer] = []

    async def go(size: int, **timeouts: float) -> tuple[Running, Upstreams]:
        source = Upstreams(size)
        server = await RawServer(source.talk).__aenter__()
        servers.append(server)
        upstream = Upstream(name="u", kind="edge", url=server.url, engine="edge", serves="own", model="m")
        gateway = await start(
            upstream,
            timeouts=Timeouts(**{"reader_seconds": 60.0, **timeouts}),
            probing=Probing(edge_seconds=3600, timeout_seconds=10),
            breaker=Breaker(failures=10**6),
        )
        await until(lambda: gateway.gateway.upstreams.live["u"].proven_at is not None)
        return gateway, source

    yield go
    for server in servers:
        await server.__aexit__(None, None, None)


class Reader:
    """A client on a bare socket that reads when it is told to."""

    def __init__(self, gateway: Running, name: str, *, stream: bool = True) -> None:
        surface = SURFACES[name]
        body = json.dumps({"model": "own", "stream": stream, **surface._request("hi")}).encode()
        self.request = (
            f"POST {surface.path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        self.sock.setblocking(False)
        self._port = int(gateway.url.rpartition(":")[2])

    async def ask(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.sock, ("127.0.0.1", self._port))
        await loop.sock_sendall(self.sock, self.request)

    async def read(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.sock, 64 * 1024)

    async def rest(self) -> tuple[int, bool]:
        """How much came until the end, or the cut; and whether an end of the dialect was in it."""
        size, last, ended = 0, b"", False
        with suppress(ConnectionError):
            while data := await self.read():
                size, last = size + len(data), last[-40:] + data
                ended = ended or any(end in last for end in ENDS)
                if last.endswith(b"\r\n0\r\n\r\n"):
                    break
        return size, ended


async def _still(line: Line) -> int:
    """How much the upstream got rid of when no more goes."""
    seen = -1
    while seen != line.accepted_bytes:
        seen = line.accepted_bytes
        await asyncio.sleep(0.3)
    return seen


@pytest.mark.parametrize("name", list(SURFACES))
async def test_a_reader_that_stalls_holds_its_upstream_back_and_its_stream_takes_bounded_memory(
    begin: Begin, name: str
) -> None:
    """LiteLLM#12685, production-stack#448: what is not read must stay where it comes from."""
    gateway, source = await begin(BIG_BYTES)
    reader = Reader(gateway, name)
    await reader.ask()
    await until(lambda: source.lines and source.lines[0].accepted_bytes)
    assert await _still(source.lines[0]) < KERNELS_BYTES
    reader.sock.close()
    await until(lambda: source.lines[0].gone.is_set())
    await until(lambda: gateway.books.words == ["cancelled"])


@pytest.mark.parametrize("name", list(SURFACES))
async def test_a_client_that_reads_nothing_is_cut_and_its_upstream_let_go(begin: Begin, name: str) -> None:
    gateway, source = await begin(BIG_BYTES, reader_seconds=0.3)
    reader = Reader(gateway, name)
    await reader.ask()
    await until(lambda: source.lines)
    await until(lambda: source.lines[0].gone.is_set())
    await until(lambda: gateway.books.words == ["cancelled"])
    await until(lambda: not len(gateway.gateway.calls))
    size, ended = await reader.rest()
    assert size < BIG_BYTES
    assert not ended
    reader.sock.close()


@pytest.mark.parametrize("name", list(SURFACES))
async def test_a_slow_reader_gets_everything(begin: Begin, name: str) -> None:
    size = 12 * 1024 * 1024
    gateway, source = await begin(size)
    reader = Reader(gateway, name)
    await reader.ask()
    await until(lambda: source.lines)
    await asyncio.sleep(0.5)
    got, ended = await reader.rest()
    assert got >= size * (len(PIECE) / len(CHAT)) * 0.99
    assert ended
    await until(lambda: gateway.books.words == ["ok"])
    reader.sock.close()


async def test_a_client_that_reads_nothing_of_a_whole_answer_is_cut_too(begin: Begin) -> None:
    """A unary answer that nobody reads is kept for so long and no longer."""
    gateway, _ = await begin(16 * 1024 * 1024, reader_seconds=0.3)
    reader = Reader(gateway, "chat", stream=False)
    await reader.ask()
    await until(lambda: gateway.books.words == ["ok"], within=60)
    await until(lambda: any(_held(gateway)))
    await until(lambda: not any(_held(gateway)), within=60)
    reader.sock.close()


async def test_a_client_that_stalls_on_the_last_bytes_is_cut_too(begin: Begin) -> None:
    """All of it is written, some of it lies in our buffers, and its reader never comes back."""
    gateway, source = await begin(0, reader_seconds=0.3)
    readers = [Reader(gateway, "chat") for _ in range(24)]
    for at, reader in enumerate(readers):
        source.size = 2 * 1024 * 1024 + at * 128 * 1024  # one of them ends where the system's buffers do
        await reader.ask()
        await until(lambda wanted=at: len(source.lines) > wanted)  # type: ignore[misc]
    await until(lambda: not len(gateway.gateway.calls), within=60)
    held = _held(gateway)
    await until(lambda: not any(_held(gateway)), within=60)
    assert max(held, default=0) < 1024 * 1024
    for reader in readers:
        reader.sock.close()


def _held(gateway: Running) -> list[int]:
    """What lies in the gateway's own buffers, by client."""
    server = gateway.gateway.runner.server
    assert server is not None
    return [one.transport.get_write_buffer_size() for one in server.connections if one.transport is not None]


async def test_one_stalled_reader_delays_nobody_else(begin: Begin) -> None:
    gateway, source = await begin(8 * 1024 * 1024)
    stalled = Reader(gateway, "chat")
    await stalled.ask()
    await until(lambda: source.lines and source.lines[0].accepted_bytes)
    source.size = 64 * 1024
    for _ in range(5):
        answer = await SURFACES["chat"].ask(gateway, "hi", stream=True, model="own")
        assert answer.text is not None
    stalled.sock.close()


async def test_a_whole_answer_that_never_ends_is_given_up_and_not_collected(begin: Begin) -> None:
    gateway, source = await begin(400 * 1024 * 1024)
    answer = await SURFACES["chat"].ask(gateway, "hi", stream=False, model="own")
    assert (answer.status, (answer.error or {})["code"]) == (502, "answer_too_large")
    assert source.lines[0].accepted_bytes < 128 * 1024 * 1024
