"""A request that is sent again with its Idempotency-Key costs its upstream nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from fake_mlx import STREAM_HEAD, chunk, hangs, head, sends, sends_and_hangs
from gateway_harness import HELLO, KEY, NODE_KEY, Running, sidecar, until


async def ask(gateway: Running, token: str, *, key: str = KEY, **fields: Any) -> aiohttp.ClientResponse:
    body = {"model": "smol", "messages": HELLO, **fields}
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": token}
    return await gateway.http.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers)


def asked(gateway: Running) -> int:
    """How many requests reached an upstream, and ended."""
    return len(gateway.books.outcomes)


async def test_a_whole_answer_is_given_again_byte_by_byte(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx()))
    first = await ask(gateway, "one")
    again = await ask(gateway, "one")
    assert (again.status, await again.read()) == (200, await first.read())
    assert again.headers["x-fleet-replayed"] == "true"
    assert again.headers["x-fleet-request-id"] == first.headers["x-fleet-request-id"]
    assert again.headers["Content-Length"] == first.headers["Content-Length"]
    assert asked(gateway) == 1


async def test_another_body_another_key_and_another_token_are_other_requests(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx()))
    assert (await ask(gateway, "one")).status == 200
    other = await ask(gateway, "one", max_tokens=5)
    assert other.status == 422
    assert (await other.json())["error"]["code"] == "idempotency_key_reused"
    assert (await ask(gateway, "one", key=NODE_KEY)).status == 200
    assert (await ask(gateway, "two")).status == 200
    assert asked(gateway) == 3
    assert (await ask(gateway, "x" * 256)).status == 400


async def test_while_the_first_runs_the_second_is_told_so(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx(hangs)))
    first = asyncio.create_task(ask(gateway, "one"))
    await until(lambda: len(gateway.gateway.calls) == 1)
    second = await ask(gateway, "one")
    assert second.status == 409
    assert (await second.json())["error"]["code"] == "in_flight"
    assert second.headers["Retry-After"] == "2"
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await until(lambda: not len(gateway.gateway.calls))


@pytest.mark.parametrize("stream", [False, True])
async def test_what_failed_or_broke_is_asked_anew(start: Any, mlx: Any, *, stream: bool) -> None:
    fake = await mlx(sends(head(500)) if not stream else sends(STREAM_HEAD + chunk(content="Hel")))
    gateway = await start(sidecar(fake))
    for _ in range(2):
        await (await ask(gateway, "one", stream=stream)).read()
    assert asked(gateway) == 2


async def test_a_client_that_left_may_ask_anew(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx(sends_and_hangs(STREAM_HEAD + chunk(content="Hel")))))
    for _ in range(2):
        before = asked(gateway)
        answer = await ask(gateway, "one", stream=True)
        assert answer.status == 200
        answer.close()
        await until(lambda before=before: asked(gateway) > before)  # type: ignore[misc]


async def test_a_stream_that_was_whole_is_not_asked_again(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx()))
    await (await ask(gateway, "one", stream=True)).read()
    again = await ask(gateway, "one", stream=True)
    assert again.status == 409
    assert (await again.json())["error"]["code"] == "already_answered"
    assert asked(gateway) == 1
