"""An edge that is told to stop under streams: what ends in time ends well, the rest is told in its own words."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.cancel.client import SURFACES, Client, body_of, request_of
from bench.cancel.pair import PATIENT, WIDE, Gateway, pair, until

ENDLESS, BRIEF = "@@tokens=4000,gap=20@@", "@@tokens=20,gap=10@@"
FINISHED = {
    "chat": b"data: [DONE]",
    "completions": b"data: [DONE]",
    "responses": b'"type":"response.completed"',
    "messages": b'"type":"message_stop"',
}
FAILED = {
    "chat": b'"error":{"message":',
    "completions": b'"error":{"message":',
    "responses": b'"type":"response.failed"',
    "messages": b'"type":"error"',
}


async def asks(port: int, surface: str, prompt: str, *, stream: bool) -> Client:
    body = body_of(surface, model=WIDE, prompt=prompt, stream=stream)
    return await Client.asks(port, request_of(surface, body))


@pytest.mark.xdist_group("cancel")
async def test_a_stopped_edge_finishes_what_it_can_and_ends_the_rest_with_an_error_of_their_dialect(
    tmp_path: Path,
) -> None:
    async with pair(tmp_path, drain_seconds=1.0, timeouts=replace(PATIENT, queue_seconds=0.1)) as both:
        port = both.front.port
        stuck = {surface: await asks(port, surface, ENDLESS, stream=True) for surface in SURFACES}
        unary = {surface: await asks(port, surface, ENDLESS, stream=False) for surface in SURFACES}
        brief = {surface: await asks(port, surface, BRIEF, stream=True) for surface in SURFACES}
        for client in (*stuck.values(), *brief.values()):
            await client.hear(b"w3 ")
        exchanges = [await both.mlx.next() for _ in range(12)]

        both.edge.process.terminate()
        await until(lambda: _shown_unready(both.edge))  # a front that looks must not be told to come again
        for surface, client in brief.items():
            heard = (await client.hear(FINISHED[surface])).replace(b'": ', b'":')
            assert b"w19 " in heard
            assert b'"error":{' not in heard
        for surface, client in stuck.items():
            heard = (await client.hear(b"\r\n0\r\n\r\n")).replace(b'": ', b'":')
            assert FAILED[surface] in heard, surface
            assert FINISHED[surface] not in heard, surface
        for surface, client in unary.items():
            heard = await client.hear(b'"error"', b'"message"')
            assert heard.startswith(b"HTTP/1.1 5"), surface
        async with asyncio.timeout(60):
            assert await both.edge.process.wait() == 0
        await until(lambda: all(one.gone.is_set() for one in exchanges))
        await until(both.front.idle)
        for client in (*stuck.values(), *unary.values(), *brief.values()):
            client.leave()


async def _shown_unready(gateway: Gateway) -> bool:
    return not await gateway.ready()
