"""The bare proxy: aiohttp on both sides, the least that a gateway in Python must do, and nothing of what it should.

It parses the request, asks the upstream, passes bytes on and reads the usage. No keys, no routes, no limits, no
journal, no second upstream. What fleet costs beyond this is what fleet's promises cost. PORT and UPSTREAM (a URL) are
read from the environment.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import aiohttp
import orjson
import uvloop
from aiohttp import web

_SESSION = web.AppKey("session", aiohttp.ClientSession)
_EVENT_END = b"\n\n"
_USAGE = b'"usage":{'
_LONGEST_TAIL_BYTES = 65536


class Usage:
    """Reads the usage out of a passing stream; decodes the one event that carries it."""

    __slots__ = ("_tail", "total_tokens")

    def __init__(self) -> None:
        self._tail = b""
        self.total_tokens = 0

    def feed(self, data: bytes) -> None:
        if _USAGE in data:
            for event in (self._tail + data).split(_EVENT_END):
                if event.startswith(b"data: {") and _USAGE in event:
                    self.read(event.removeprefix(b"data: "))
        end = data.rfind(_EVENT_END)
        self._tail = data[end + 2 :] if end >= 0 else (self._tail + data)[-_LONGEST_TAIL_BYTES:]

    def read(self, document: bytes) -> None:
        usage: dict[str, Any] | None = orjson.loads(document).get("usage")
        if usage:
            self.total_tokens = usage.get("total_tokens", 0)


async def chat(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    asked = orjson.loads(body)
    headers = {"content-type": "application/json"}
    async with request.app[_SESSION].post(
        os.environ["UPSTREAM"] + request.path, data=body, headers=headers
    ) as upstream:
        usage = Usage()
        if not asked.get("stream") or upstream.status != 200:
            answer = await upstream.read()
            if upstream.status == 200:
                usage.read(answer)
            return web.Response(body=answer, status=upstream.status, content_type="application/json")
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
        await response.prepare(request)
        async for data in upstream.content.iter_any():
            usage.feed(data)
            await response.write(data)
        await response.write_eof()
        return response


async def healthz(_: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def open_session(app: web.Application) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    app[_SESSION] = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))


async def close_session(app: web.Application) -> None:
    await app[_SESSION].close()


def main() -> None:
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/healthz", healthz)
    app.on_startup.append(open_session)
    app.on_cleanup.append(close_session)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=None, print=None)


if __name__ == "__main__":
    main()
