"""What a client may make a gateway say in its name, and what an upstream may make it hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fake_mlx import STREAM_HEAD, Exchange, chunk
from gateway_harness import HELLO, KEY, sidecar
from raw_server import Line, RawServer

from fleet.traffic.config import Upstream

ANSWER = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}'


async def test_a_client_cannot_speak_as_a_front(start: Any) -> None:
    heard: dict[str, str] = {}

    async def talk(line: Line) -> None:
        while True:
            head, _ = await line.request()
            if head.startswith(b"POST"):
                heard.update(_headers(head))
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER))

    async with RawServer(talk) as server:
        edge = Upstream(name="e", kind="edge", url=server.url, engine="edge", serves="smol", model="smol")
        gateway = await start(edge)
        said = {"x-fleet-request-id": "mine", "x-fleet-track": "dollar", "x-fleet-session": "s", "x-forwarded-for": "1"}
        body = {"model": "smol", "messages": HELLO, "fleet": {"lane": "batch"}, "stream": True}
        headers = {"Authorization": f"Bearer {KEY}", "Cookie": "c=1", **said}
        answer = await gateway.http.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers)
        assert heard["x-fleet-request-id"] == answer.headers["x-fleet-request-id"] != "mine"
        assert (heard["x-fleet-session"], heard["x-fleet-lane"]) == ("s", "batch")
        assert not {"x-fleet-track", "x-forwarded-for", "cookie", "authorization"} & set(heard)


async def test_an_upstream_that_begins_no_answer_is_not_listened_to_for_ever(start: Any, mlx: Any) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD)
        while not exchange.gone.is_set():
            await exchange.send(chunk(padding="x" * 10_000))

    gateway = await start(sidecar(await mlx(script)))
    answer = await gateway.chat()
    assert answer.status == 502
    assert (await answer.json())["error"]["code"] == "malformed_answer"


def _headers(head: bytes) -> Mapping[str, str]:
    lines = [line.decode().partition(": ") for line in head.split(b"\r\n")[1:] if line]
    return {name.lower(): value for name, _, value in lines}
