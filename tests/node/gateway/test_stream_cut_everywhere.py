"""A recorded answer that breaks off after any byte, in every framing: a complete answer, or a clear error. No third.

Every surface, streamed and unary (SPEC section 3.1: Portkey#1797, 9router#4080, LiteLLM#40260).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from fake_mlx import recorded
from gateway_harness import Running, Start
from raw_server import Line, RawServer
from surface_kit import SURFACES, Answer, Surface

from fleet.traffic.config import Breaker, Probing, Retries, Upstream

CHAT = b"".join(
    b"data: %b\n\n" % data
    for data in (
        b'{"id":"c1","created":7,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}',
        b'{"id":"c1","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"Hel"}}]}',
        'data: {"id":"c1","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"lo \u00fc"}}]}'.encode()[
            6:
        ],
        b'{"id":"c1","created":7,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
        b'{"id":"c1","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}',
        b"[DONE]",
    )
)
TEXTS = CHAT.replace(b'"delta":{"role":"assistant","content":""}', b'"text":""').replace(b'"delta":{}', b'"text":""')
TEXTS = re.sub(rb'"delta":\{"content":("[^"]*")\}', rb'"text":\1', TEXTS)
SAID = "Hello \u00fc"
TOOL = recorded("tool-call-stream.sse.txt")
RECORDED = recorded("chat-stream-usage.sse.txt")
EVERYONE = list(SURFACES)
AT_ONCE = 16


async def _scripted(line: Line) -> None:
    """The prompt says how the answer breaks off: `@body,framing,end,bytes@`."""
    while True:
        head, body = await line.request()
        if head.startswith(b"GET"):
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n" + b'{"data":[{"id": "m"}]} ')
            continue
        found = re.search(rb"@(\w+),(\w+),(\w+),(\d+)@", body)
        chosen, framing, end, most = found.groups() if found is not None else (b"chat", b"eof", b"fin", b"999999")
        answer = {b"chat": CHAT, b"texts": TEXTS, b"tool": TOOL, b"mlx": RECORDED}[chosen]
        sent = answer[: int(most)]
        if framing == b"eof":
            await line.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + sent)
        else:
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            await line.send(b"%x\r\n%b\r\n" % (len(sent), sent) if sent else b"")
            if end == b"clean":  # HTTP says that this was all: only the stream itself can tell that it was not
                await line.send(b"0\r\n\r\n")
                continue
        if end == b"rst":
            line.reset()
        return


@pytest.fixture(name="gateway")
async def _gateway(start: Start) -> AsyncIterator[Running]:
    async with RawServer(_scripted) as server:
        upstream = Upstream(
            name="cloud", kind="edge", url=server.url, engine="openai_compatible", serves="smol", model="m",
            max_in_flight=AT_ONCE,
        )  # fmt: skip
        never = Probing(edge_seconds=3600, timeout_seconds=5)
        yield await start(upstream, breaker=Breaker(failures=10**9), retries=Retries(burst=0, ratio=0.0), probing=never)


async def _all(surface: Surface, gateway: Running, prompts: Iterable[str], **more: Any) -> list[Answer]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(prompt: str) -> Answer:
        async with gate:
            return await surface.ask(gateway, prompt, **more)

    return await asyncio.gather(*(one(prompt) for prompt in prompts))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("how", ["eof,fin", "eof,rst", "chunked,fin", "chunked,rst", "chunked,clean"])
@pytest.mark.parametrize("name", EVERYONE)
async def test_an_answer_cut_after_any_byte_is_an_error_and_only_the_whole_one_is_an_answer(
    gateway: Running, name: str, how: str, *, stream: bool
) -> None:
    body, size = ("texts", len(TEXTS)) if name == "completions" else ("chat", len(CHAT))
    step = 1 if how in ("eof,fin", "chunked,clean") and stream else 5
    cuts = sorted({*range(0, size, step), *range(size - 20, size), size})
    answers = await _all(SURFACES[name], gateway, (f"@{body},{how},{cut}@" for cut in cuts), stream=stream)
    whole = [cut for cut, answer in zip(cuts, answers, strict=True) if answer.text is not None]
    assert whole in ([size], [] if how.endswith("rst") else [size]), "a reset may overtake the last bytes"
    assert {answer.text for answer in answers} <= {SAID, None}
    assert {answer.status for answer in answers if answer.text is None} <= {200, 502}
    if stream:
        codes = {answer.error["code"] for answer in answers if answer.error and name in ("chat", "completions")}
        assert codes <= {"stream_truncated", "empty_answer", "upstream_error"}


@pytest.mark.parametrize("name", ["chat", "responses", "messages"])
async def test_a_recorded_stream_of_a_sidecar_cut_after_any_byte_is_no_answer(gateway: Running, name: str) -> None:
    size, step = len(RECORDED), 1 if name == "chat" else 3
    cuts = [*range(0, size, step), size - 1, size]
    answers = await _all(SURFACES[name], gateway, (f"@mlx,eof,fin,{cut}@" for cut in cuts), stream=True)
    assert [cut for cut, answer in zip(cuts, answers, strict=True) if answer.text is not None] == [size]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", ["chat", "responses", "messages"])
async def test_a_tool_call_cut_after_any_byte_is_never_a_call_to_make(
    gateway: Running, name: str, *, stream: bool
) -> None:
    size = len(TOOL)
    cuts = [*range(0, size, 7), *range(size - 20, size + 1)]
    answers = await _all(SURFACES[name], gateway, (f"@tool,eof,fin,{cut}@" for cut in cuts), stream=stream)
    whole = [(cut, answer.calls) for cut, answer in zip(cuts, answers, strict=True) if answer.text is not None]
    assert [cut for cut, _ in whole] == [size]
    assert len(whole[0][1]) == 1
