"""What arrives at a door, byte by byte: odd framing, odd encodings, ids that are not the client's to choose."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fake_mlx import hangs
from gateway_harness import HELLO, KEY, NODE_KEY, Running, sidecar, until

from fleet.node.gateway import surfaces
from fleet.node.gateway.call import Call
from fleet.traffic.config import Limits

BODY = json.dumps({"model": "smol", "messages": HELLO}).encode()
POST = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n".encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)


class Raw:
    """A client that says what it wants, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, gateway: Running) -> Raw:
        return cls(*await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2])))

    async def head(self) -> bytes:
        async with asyncio.timeout(60):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def all(self) -> bytes:
        async with asyncio.timeout(60):
            return await self.reader.read()


@pytest.mark.parametrize(
    "framing",
    [
        LENGTH + LENGTH,
        LENGTH + b"Content-Length: 3\r\n",
        LENGTH + b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Content-Length: +66\r\n",
    ],
)
async def test_a_body_with_two_ends_is_no_request_and_its_connection_ends(start: Any, mlx: Any, framing: bytes) -> None:
    fake = await mlx()
    gateway = await start(sidecar(fake))
    client = await Raw.connect(gateway)
    client.writer.write(POST + framing + b"\r\n" + BODY)
    assert (await client.all()).startswith(b"HTTP/1.0 400 Bad Request")
    client.writer.close()
    assert not gateway.books.outcomes


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx()))
    client = await Raw.connect(gateway)
    client.writer.write(POST + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n")
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.writer.write(BODY)
    assert (await client.head()).startswith(b"HTTP/1.1 200 OK")
    client.writer.close()


@pytest.mark.parametrize(
    ("head", "status"),
    [(POST.replace(KEY.encode(), b"sk-wrong"), b"401"), (POST + b"x-padding: 1\r\n", b"413")],
)
async def test_a_body_that_would_be_refused_is_not_asked_for(start: Any, head: bytes, status: bytes) -> None:
    gateway = await start(limits=Limits(body_bytes=10))
    client = await Raw.connect(gateway)
    client.writer.write(head + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n")
    assert (await client.head()).startswith(b"HTTP/1.1 " + status)
    client.writer.close()


async def test_a_body_in_another_encoding_than_its_header_says_is_the_clients_mistake(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx()))
    headers = {"Authorization": f"Bearer {KEY}", "Content-Encoding": "gzip"}
    answer = await gateway.http.post(
        f"{gateway.url}/v1/chat/completions", data=BODY, headers=headers, skip_auto_headers=("Content-Type",)
    )
    assert answer.status == 400
    assert (await answer.json())["error"]["code"] == "invalid_encoding"


async def test_a_door_says_which_methods_it_takes(start: Any) -> None:
    gateway = await start()
    assert (await gateway.get("/v1/chat/completions")).headers["Allow"] == "POST"
    posted = await gateway.http.post(f"{gateway.url}/v1/models", headers={"x-api-key": KEY})
    assert (posted.status, posted.headers["Allow"]) == (405, "GET, HEAD")


async def test_a_bug_is_told_in_the_words_of_the_surface(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> Call:
        raise KeyError("my secret prompt")

    monkeypatch.setattr(surfaces, "call_of", broken)
    gateway = await start()
    answer = await gateway.chat()
    assert answer.status == 500
    assert (await answer.json())["error"]["code"] == "internal_error"
    assert "secret" not in await answer.text()
    messages = await gateway.http.post(f"{gateway.url}/v1/messages", json={}, headers={"x-api-key": KEY})
    assert (await messages.json())["type"] == "error"


async def test_a_client_gets_an_id_and_a_gateway_may_give_one(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx(hangs)))

    def ask(key: str) -> asyncio.Task[Any]:
        headers = {"Authorization": f"Bearer {key}", "x-fleet-request-id": "mine"}
        return asyncio.ensure_future(
            gateway.http.post(
                f"{gateway.url}/v1/chat/completions", json={"model": "smol", "messages": HELLO}, headers=headers
            )
        )

    asked = [ask(KEY), ask(KEY), ask(NODE_KEY)]
    await until(lambda: len(gateway.gateway.calls) == 3)
    ids = [live.call.request_id for live in gateway.gateway.calls]
    assert len(set(ids)) == 3
    assert ids.count("mine") == 1
    for one in asked:
        one.cancel()
