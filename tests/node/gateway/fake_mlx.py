"""A socket-level stand-in for `mlx_lm server`: HTTP/1.0, ends by EOF, and knows when its client left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "mlx"
PING = [{"role": "user", "content": "ping"}]
STREAM_HEAD = b"HTTP/1.0 200 OK\r\nContent-type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n"


def recorded(name: str) -> bytes:
    """The body of a recording."""
    text = (SAMPLES / name).read_bytes()
    return text[text.index(b"< HTTP") :].partition(b"\n\n")[2]


def head(status: int) -> bytes:
    return b"HTTP/1.0 %d X\r\nContent-type: application/json\r\n\r\n" % status


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    data = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "default_model",
        "created": 7,
        "choices": [{"index": 0, "finish_reason": finish, "delta": {"role": "assistant", **delta}}],
    }
    return b"data: " + json.dumps(data).encode() + b"\n\n"


@dataclass(eq=False)
class Exchange:
    """One request that arrived. `gone` is set when its client has closed the connection."""

    line: str
    headers: dict[str, str]
    body: dict[str, Any]
    writer: asyncio.StreamWriter
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def probe(self) -> bool:
        return bool(
            self.body.get("max_tokens") == 1 and self.body.get("messages") == [{"role": "user", "content": "ping"}]
        )

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


Script = Callable[[Exchange], Awaitable[None]]


async def answers(exchange: Exchange) -> None:
    await exchange.send(STREAM_HEAD + recorded("chat-stream-usage.sse.txt"))


def sends(data: bytes) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.send(data)

    return script


def sends_and_hangs(data: bytes) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.send(data)
        await exchange.gone.wait()

    return script


async def hangs(exchange: Exchange) -> None:
    await exchange.gone.wait()


async def resets(exchange: Exchange) -> None:
    exchange.writer.transport.abort()


class FakeMlx:
    """Plays `script` to every request but probes, which `probe` answers."""

    def __init__(self, script: Script = answers, *, probe: Script = answers) -> None:
        self.script = script
        self.probe = probe
        self.exchanges: list[Exchange] = []
        self._arrived: asyncio.Queue[Exchange] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, port: int = 0) -> FakeMlx:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for exchange in self.exchanges:
                exchange.gone.set()

    async def next(self, *, within: float = 5.0) -> Exchange:
        """The next request that is no probe."""
        async with asyncio.timeout(within):
            return await self._arrived.get()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            top = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in top[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        exchange = Exchange(top[0], headers, json.loads(body or b"{}"), writer)
        self.exchanges.append(exchange)
        watcher = asyncio.create_task(self._watch(reader, exchange))
        try:
            if exchange.probe:
                await self.probe(exchange)
            else:
                self._arrived.put_nowait(exchange)
                await self.script(exchange)
        except ConnectionError:
            pass
        finally:
            watcher.cancel()
            writer.close()

    @staticmethod
    async def _watch(reader: asyncio.StreamReader, exchange: Exchange) -> None:
        try:
            await reader.read()
        except ConnectionError:
            pass
        exchange.gone.set()
