"""Clients that stream from a room's front all the while, and what became of each of their streams."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import aiohttp

from tests.integration.conftest import Room
from tests.integration.story import front_url, gateway_key, trust

_BREATH_SECONDS = 0.05


class End(StrEnum):
    """How a stream ended, as its client sees it."""

    DONE = "done"
    """finish_reason and [DONE]."""
    CUT = "cut"
    """The connection broke, or never was."""
    SILENT = "silent"
    """HTTP's end without the stream's: what a client may take for a whole answer. Never to be seen."""
    TOLD = "told"
    """An error event, or a status that is one."""


@dataclass
class Stream:
    """One request. Times are monotonic seconds."""

    began: float = field(default_factory=time.monotonic)
    upstream: str = ""
    status: int = 0
    chunks: int = 0
    end: End | None = None
    ended: float = 0.0
    why: str = ""


@dataclass
class Load:
    """All streams of all clients, ended or not."""

    streams: list[Stream] = field(default_factory=list)

    def ended(self, *, since: float = 0.0) -> list[Stream]:
        """Those that began after `since` and have ended."""
        return [one for one in self.streams if one.end is not None and one.began >= since]

    def running(self) -> list[Stream]:
        """Those whose answer has begun, and not ended."""
        return [one for one in self.streams if one.end is None and one.chunks]

    def troubles(self) -> Counter[str]:
        """Those that ended in any other way than they should."""
        bad = [one for one in self.streams if one.end not in (None, End.DONE)]
        return Counter(f"{one.end} {one.status} {one.upstream} {one.why}" for one in bad)


@asynccontextmanager
async def load(room: Room, *, clients: int, model: str, tokens: Iterable[int]) -> AsyncIterator[Load]:
    """`clients` ask again as soon as they were answered, for `tokens` each in turn. The end lets them finish."""
    found = Load()
    stop = asyncio.Event()
    headers = {"Authorization": f"Bearer {gateway_key(room)}"}
    connector = aiohttp.TCPConnector(ssl=trust(room), limit=0)
    sizes = tuple(tokens)
    async with aiohttp.ClientSession(front_url(room), connector=connector, headers=headers) as http:

        async def client(number: int) -> None:
            turn = number
            while not stop.is_set():
                stream = Stream()
                found.streams.append(stream)
                await streamed(http, stream, model=model, tokens=sizes[turn % len(sizes)])
                turn += 1
                if stream.end is not End.DONE:
                    await asyncio.sleep(_BREATH_SECONDS)

        tasks = [asyncio.create_task(client(number)) for number in range(clients)]
        try:
            yield found
        except BaseException:
            for task in tasks:
                task.cancel()
            raise
        finally:
            stop.set()
            await asyncio.gather(*tasks, return_exceptions=True)


async def streamed(http: aiohttp.ClientSession, stream: Stream, *, model: str, tokens: int) -> None:
    """Ask, and read to the end; what became of it is in `stream`."""
    body: dict[str, Any] = {"model": model, "stream": True, "max_tokens": tokens}
    body["messages"] = [{"role": "user", "content": "hello?"}]
    try:
        async with http.post("/v1/chat/completions", json=body) as answer:
            stream.status, stream.upstream = answer.status, answer.headers.get("x-fleet-upstream", "")
            if answer.status != 200:
                stream.why = await answer.text()
                stream.end = End.TOLD
                return
            stream.end, stream.why = await _read(answer, stream)
    except aiohttp.ClientError as error:
        stream.end, stream.why = End.CUT, repr(error)
    except asyncio.CancelledError:
        stream.end, stream.why = End.CUT, "the test ended"
        raise
    finally:
        stream.ended = time.monotonic()


async def _read(answer: aiohttp.ClientResponse, stream: Stream) -> tuple[End, str]:
    finished = False
    async for line in answer.content:
        if line.startswith(b"data: [DONE]"):
            return (End.DONE, "") if finished else (End.SILENT, "[DONE] without finish_reason")
        if b'"error":{' in line:
            return End.TOLD, line.decode(errors="replace")
        if line.startswith(b"data: "):
            stream.chunks += 1
            finished = finished or b'"finish_reason":"' in line.replace(b" ", b"")
    return End.SILENT, "ended without [DONE]"


async def until(true: Callable[[], Any], *, within_seconds: float = 60.0) -> None:
    """Wait while the clients go on. Raises TimeoutError."""
    async with asyncio.timeout(within_seconds):
        while not true():
            await asyncio.sleep(0.02)


def told(line: str) -> None:
    """Say what was measured: `make show-...` shows it (pytest -s)."""
    sys.stdout.write(f"\n{line}\n")
