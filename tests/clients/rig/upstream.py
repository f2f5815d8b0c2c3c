"""A scripted upstream that speaks OpenAI's chat, embeddings and models, and records what it is asked.

    python -m tests.clients.rig.upstream PORT [RECORD.jsonl]

What it says is in `script.py`. Loopback only.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.clients.rig.script import Answer, answer_to

CREATED = 1_700_000_000
MODELS = ("mock", "org/mock:free")
_WORDS = {401: "authentication_error", 429: "rate_limit_error", 503: "overloaded_error"}
_LARGEST_BYTES = 256 << 20


class ScriptedUpstream:
    """The doors. Every request is a line of the record."""

    def __init__(self, record: Path | None = None) -> None:
        self._record = record

    def app(self) -> web.Application:
        """The application, under /v1."""
        app = web.Application(client_max_size=_LARGEST_BYTES)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_get("/v1/models", self._models)
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._recorded(request)
        answer = answer_to(body)
        match answer.steering.get("err", ""):
            case code if code.isdigit():
                return _refusal(int(code))
            case "hang":
                await asyncio.sleep(600)
            case "cuthead":
                _drop(request)
        if body.get("stream"):
            return await _stream(request, body, answer)
        choice = {"index": 0, "message": answer.message, "finish_reason": answer.finish_reason, "logprobs": None}
        whole = {**_head(body, "chat.completion"), "choices": [choice], "usage": answer.usage}
        if answer.steering.get("err") == "cut":
            return await _half(request, json.dumps(whole).encode())
        return web.json_response(whole)

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await self._recorded(request)
        asked = body.get("input")
        count = len(asked) if isinstance(asked, list) else 1
        data = [{"object": "embedding", "index": index, "embedding": [0.5] * 8} for index in range(count)]
        usage = {"prompt_tokens": 4, "total_tokens": 4}
        return web.json_response({"object": "list", "model": body.get("model"), "data": data, "usage": usage})

    async def _models(self, request: web.Request) -> web.Response:
        data = [{"id": name, "object": "model", "created": CREATED, "owned_by": "mock"} for name in MODELS]
        return web.json_response({"object": "list", "data": data})

    async def _recorded(self, request: web.Request) -> dict[str, Any]:
        raw = await request.read()
        body: Any = json.loads(raw)
        if self._record is not None:
            headers = {name.lower(): value for name, value in request.headers.items()}
            row = {"path": request.path_qs, "headers": headers, "bytes": len(raw), "body": body}
            with self._record.open("a") as out:
                out.write(json.dumps(row) + "\n")
        return body if isinstance(body, dict) else {}


def _head(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-mock", "object": kind, "created": CREATED, "model": body.get("model", "mock")}


async def _stream(request: web.Request, body: Mapping[str, Any], answer: Answer) -> web.StreamResponse:
    head = _head(body, "chat.completion.chunk")
    gap = int(answer.steering.get("delay", 0)) / 1000
    cut = answer.steering.get("err") == "cut"
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)

    async def say(event: Mapping[str, Any] | str) -> None:
        data = event if isinstance(event, str) else json.dumps(event)
        await response.write(f"data: {data}\n\n".encode())

    for said, delta in enumerate(answer.deltas()):
        if cut and said > 3:
            _drop(request)
        await say({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        await asyncio.sleep(gap)
    await say({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": answer.finish_reason}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        await say({**head, "choices": [], "usage": answer.usage})
    await say("[DONE]")
    await response.write_eof()
    return response


async def _half(request: web.Request, whole: bytes) -> web.StreamResponse:
    """A unary answer that is cut in its middle."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(whole))})
    await response.prepare(request)
    await response.write(whole[: len(whole) // 2])
    _drop(request)
    return response


def _drop(request: web.Request) -> None:
    """Close the connection without a word."""
    if request.transport is not None:
        request.transport.close()
    raise asyncio.CancelledError


def _refusal(status: int) -> web.Response:
    kind = _WORDS.get(status, "server_error")
    error = {"message": f"mock error {status}", "type": kind, "param": None, "code": str(status)}
    after = {"Retry-After": "1"} if status == 429 else {}
    return web.json_response({"error": error}, status=status, headers=after)


if __name__ == "__main__":
    record = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    web.run_app(ScriptedUpstream(record).app(), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
