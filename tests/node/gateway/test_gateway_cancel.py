"""A client that leaves ends the generation: the sidecar's socket closes, in every phase, through every gateway.

The waits have deadlines; what is asserted is that the close arrives while nothing else would have caused it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from fake_mlx import STREAM_HEAD, chunk, hangs, sends_and_hangs
from gateway_harness import HELLO, KEY, NODE_KEY, Identity, Running, sidecar, until

from fleet.traffic.config import Listen, Timeouts, Upstream

MID_STREAM = sends_and_hangs(STREAM_HEAD + chunk(content="x"))
PATIENT = Timeouts(first_token_seconds=60, idle_seconds=60, total_seconds=60, commit_seconds=0.05, keepalive_seconds=30)


async def leave(gateway: Running, *, stream: bool, when: Callable[[], Any], begun: bool = False) -> None:
    """Ask, wait for `when` (and for the first text, when it has `begun`), and close the connection."""
    async with aiohttp.ClientSession() as session:
        body = {"model": "smol", "messages": HELLO, "stream": stream}
        ask = session.post(f"{gateway.url}/v1/chat/completions", json=body, headers={"x-api-key": KEY}, ssl=False)
        task = asyncio.ensure_future(ask.__aenter__())
        await when()
        if begun:
            while b'"content":"x"' not in (await (await task).content.readline()).replace(b" ", b""):
                pass
        if task.done():
            task.result().close()
        else:
            task.cancel()
        await asyncio.wait((task,))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "script", [hangs, sends_and_hangs(STREAM_HEAD), sends_and_hangs(STREAM_HEAD + chunk(content="x"))]
)
async def test_the_sidecars_socket_closes_when_the_client_leaves(
    start: Any, mlx: Any, script: Any, *, stream: bool
) -> None:
    fake = await mlx(script)
    gateway = await start(sidecar(fake), timeouts=PATIENT)
    seen: list[Any] = []

    async def arrived() -> None:
        seen.append(await fake.next())

    await leave(gateway, stream=stream, when=arrived, begun=stream and script is MID_STREAM)
    async with asyncio.timeout(60):
        await seen[0].gone.wait()
    await until(lambda: gateway.books.words == ["cancelled"])
    assert gateway.gateway.upstreams.live["mini-1.chat"].in_flight == 0
    assert len(gateway.gateway.calls) == 0


async def test_a_client_that_leaves_after_the_keepalive_comments_is_noticed_too(start: Any, mlx: Any) -> None:
    fake = await mlx(hangs)
    gateway = await start(sidecar(fake), timeouts=PATIENT)
    answer = await gateway.chat(stream=True)
    assert await answer.content.readline() == b": fleet-keepalive\n"
    exchange = await fake.next()
    answer.close()
    async with asyncio.timeout(60):
        await exchange.gone.wait()
    await until(lambda: gateway.books.words == ["cancelled"])


async def test_a_client_that_leaves_while_it_waits_for_a_place_leaves_nothing_behind(start: Any, mlx: Any) -> None:
    fake = await mlx(hangs)
    patient = Timeouts(queue_seconds=60, first_token_seconds=60)
    gateway = await start(sidecar(fake, max_in_flight=1), timeouts=patient)
    first = asyncio.create_task(gateway.chat())
    exchange = await fake.next()

    async def waits() -> None:
        await until(lambda: len(gateway.gateway.calls) == 2)

    await leave(gateway, stream=False, when=waits)
    await until(lambda: gateway.books.words == ["cancelled"])
    assert not exchange.gone.is_set()
    await exchange.send(STREAM_HEAD + chunk(content="x") + chunk("stop") + b"data: [DONE]\n\n")
    exchange.gone.set()
    assert (await first).status == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script", [hangs, MID_STREAM])
async def test_a_cancel_goes_through_front_and_edge(
    start: Any, mlx: Any, identity: Callable[[str], Identity], tmp_path: Any, script: Any, *, stream: bool
) -> None:
    fake = await mlx(script)
    edge_tls = identity("edge")
    edge = await start(sidecar(fake), listen=edge_tls.listen, timeouts=PATIENT)
    key = tmp_path / "edge.token"
    key.write_text(NODE_KEY)
    key.chmod(0o600)
    upstream = Upstream(
        name="mini-2/smol", kind="edge", url=edge.url, engine="mlx_lm", serves="smol", model="smol",
        pin=edge_tls.pin, key_file=str(key),
    )  # fmt: skip
    front = await start(upstream, listen=Listen(host="127.0.0.1", port=1), timeouts=PATIENT, name="front")
    seen: list[Any] = []

    async def arrived() -> None:
        seen.append(await fake.next())

    await leave(front, stream=stream, when=arrived, begun=stream and script is MID_STREAM)
    async with asyncio.timeout(60):
        await seen[0].gone.wait()
    await until(lambda: front.books.words == ["cancelled"] and edge.books.words == ["cancelled"])
    assert edge.books.outcomes[0].call.request_id == front.books.outcomes[0].call.request_id
    assert edge.books.outcomes[0].call.key == "front"
