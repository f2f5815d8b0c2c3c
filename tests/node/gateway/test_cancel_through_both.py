"""A client that leaves ends its request at the sidecar and frees every place, through front and edge as deployed.

How fast is measured by `make bench-cancel`; here it has two seconds, which only what is wrong needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bench.cancel.client import SURFACES, Client, body_of, request_of
from bench.cancel.pair import FULL_EDGE, FULL_FRONT, WIDE, Pair, pair, until
from bench.cancel.phases import QUEUED, Phase, held, left

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("cancel")]

HANGS = "@@hang@@"
SPEAKS = "@@tokens=4000,gap=10@@"
BRIEF = "@@tokens=40,gap=10@@"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """One pair for all of these: each leaves it idle."""
    async with pair(tmp_path_factory.mktemp("pair")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def both(running: Pair) -> Pair:
    """The pair, without what arrived in an earlier test."""
    with contextlib.suppress(TimeoutError):
        while True:
            await running.mlx.next(within=0)
    return running


def chat(prompt: str, *, model: str = WIDE, stream: bool = True, version: str = "1.1") -> bytes:
    return request_of("chat", body_of("chat", model=model, prompt=prompt, stream=stream), version=version)


async def ask(both: Pair, prompt: str, *, model: str = WIDE, stream: bool = True, version: str = "1.1") -> Client:
    return await Client.asks(both.front.port, chat(prompt, model=model, stream=stream, version=version))


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("phase", Phase)
async def test_a_client_that_leaves_ends_its_request_and_frees_every_place(
    both: Pair, phase: Phase, surface: str, *, stream: bool
) -> None:
    async with held(both, phase):
        before = len(both.mlx.exchanges)
        await left(both, surface, phase, stream=stream)
        assert len(both.mlx.exchanges) == before + (phase not in QUEUED)
    await until(both.idle)


@pytest.mark.parametrize("phase", [Phase.PREFILL_SILENT, Phase.MID_STREAM])
async def test_a_reset_is_a_client_that_leaves(both: Pair, phase: Phase) -> None:
    await left(both, "chat", phase, stream=True, reset=True)
    await until(both.idle)


@pytest.mark.parametrize("model", [FULL_FRONT, FULL_EDGE])
async def test_leaving_the_queue_aborts_nobody_elses_request(both: Pair, model: str) -> None:
    """As it did in ik_llama.cpp#1929: there the running one was aborted."""
    gateway = both.front if model == FULL_FRONT else both.edge
    running = await ask(both, BRIEF, model=model)
    await running.hear(b"w3 ")
    leaving = await ask(both, BRIEF, model=model)
    staying = await ask(both, BRIEF, model=model)

    async def queued() -> bool:
        return [one["phase"] for one in await gateway.requests()].count("queued") == 2

    await until(queued)
    leaving.leave()
    assert b"[DONE]" in await running.hear(b"[DONE]")
    assert b"w39 " in await staying.hear(b"[DONE]")
    running.leave()
    staying.leave()
    await until(both.idle)


async def test_many_that_leave_at_once_leave_nothing_behind_and_spare_the_one_that_stays(both: Pair) -> None:
    staying = await ask(both, "@@tokens=100,gap=10@@")
    leaving = [await ask(both, (HANGS, SPEAKS)[n % 2], stream=n % 4 < 2) for n in range(32)]
    exchanges = [await both.mlx.next() for _ in range(33)]
    for one in leaving:
        one.leave()
    await until(lambda: sum(one.gone.is_set() for one in exchanges) == 32)
    assert b"w99 " in await staying.hear(b"[DONE]")
    staying.leave()
    await until(both.idle)


async def test_a_connection_that_was_answered_before_is_watched_as_well(both: Pair) -> None:
    client = await ask(both, "hello", stream=False)
    await both.mlx.next()
    await client.hear(b"You said: hello")
    await client.send(chat(HANGS))
    exchange = await both.mlx.next()
    client.leave()
    await until(exchange.gone.is_set)
    await until(both.idle)


@pytest.mark.parametrize("count", [1, 20])
async def test_closing_a_connection_with_requests_in_line_ends_the_first_and_starts_no_other(
    both: Pair, count: int
) -> None:
    """HTTP/1.1 has no word to cancel one of several: the connection is what is left."""
    other = await ask(both, BRIEF)
    await both.mlx.next()
    client = await ask(both, HANGS)
    exchange = await both.mlx.next()
    await client.send(chat(SPEAKS) * count)
    before = len(both.mlx.exchanges)
    client.leave()
    await until(exchange.gone.is_set)
    assert b"w39 " in await other.hear(b"[DONE]")
    other.leave()
    await until(both.idle)
    assert [one.request.json for one in both.mlx.exchanges[before:]] == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_of_http_1_0_is_answered_and_may_leave(both: Pair, *, stream: bool) -> None:
    client = await ask(both, "hello", stream=stream, version="1.0")
    await both.mlx.next()
    assert b"hello" in await client.hear()
    client.leave()
    client = await ask(both, HANGS, stream=stream, version="1.0")
    exchange = await both.mlx.next()
    client.leave()
    await until(exchange.gone.is_set)
    await until(both.idle)


@pytest.mark.parametrize("prompt", [HANGS, SPEAKS])
async def test_a_client_that_closes_its_sending_side_counts_as_gone(both: Pair, prompt: str) -> None:
    """Its FIN is all that a gateway ever sees of a close, too (docs/gateway.md)."""
    client = await ask(both, prompt)
    exchange = await both.mlx.next()
    client.half_close()
    await until(exchange.gone.is_set)
    await client.hear()
    client.leave()
    await until(both.idle)


@pytest.mark.parametrize("prompt", [HANGS, SPEAKS])
async def test_a_client_whose_process_is_killed_is_felt(both: Pair, prompt: str) -> None:
    code = """if True:
        import socket, sys
        one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        one.sendall(sys.stdin.buffer.read())
        while one.recv(999): pass"""
    argv = (sys.executable, "-c", code, str(both.front.port))
    process = await asyncio.create_subprocess_exec(*argv, stdin=PIPE)
    assert process.stdin is not None
    process.stdin.write(chat(prompt))
    process.stdin.close()
    exchange = await both.mlx.next()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(exchange.gone.is_set)
    await until(both.idle)
