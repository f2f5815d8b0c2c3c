"""Everything at once: clients that leave, operators that kill and deploy, upstreams that fail in every way."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from fake_mlx import STREAM_HEAD, Exchange, Script, chunk, head, recorded
from gateway_harness import HELLO, KEY, Running, sidecar, until, write_config

from fleet.traffic.config import Breaker, Queue, Retries, Timeouts, Upstream
from fleet.traffic.openai_error import ApiError

SHORT = Timeouts(
    connect_seconds=1,
    first_token_seconds=0.3,
    idle_seconds=0.3,
    total_seconds=1.5,
    queue_seconds=0.3,
    commit_seconds=0.05,
    keepalive_seconds=0.02,
    unary_seconds=0.5,
)
SETTINGS: dict[str, Any] = {
    "timeouts": SHORT,
    "breaker": Breaker(failures=3, first_seconds=0.02, longest_seconds=0.1),
    "retries": Retries(ratio=1, burst=1000),
    "queue": Queue(longest=20, per_key=15),
}
SURFACES: tuple[tuple[str, dict[str, Any], bytes], ...] = (
    ("/v1/chat/completions", {"messages": HELLO}, b"data: [DONE]"),
    ("/v1/messages", {"messages": HELLO, "max_tokens": 9}, b"message_stop"),
    ("/v1/responses", {"input": "hi"}, b"response.completed"),
)
FAILURES = (b"", head(429) + b"{}", head(404) + recorded("err-generation-dead.txt"), b"garbage\r\n\r\n")


def any_of(chance: random.Random) -> Script:
    """A sidecar that fails now and then, in any way."""

    async def script(exchange: Exchange) -> None:
        kind = chance.random()
        if kind < 0.2:
            await exchange.send(chance.choice(FAILURES))
            return
        await exchange.send(STREAM_HEAD if kind < 0.9 else b"")
        for _ in range(chance.randrange(20) if kind < 0.9 else 0):
            await asyncio.sleep(chance.random() * 0.005)
            await exchange.send(chunk(content="a" * chance.randrange(1, 3000)))
        if kind > 0.8:
            await exchange.gone.wait()
        elif kind > 0.3:
            await exchange.send(chunk("stop", content="z") + b"data: [DONE]\n\n")

    return script


async def test_nothing_is_left_behind_and_no_stream_ends_quietly(start: Any, mlx: Any) -> None:
    chance = random.Random(7)
    fakes = [await mlx(any_of(chance)) for _ in range(3)]

    def upstreams(room: int) -> tuple[Upstream, ...]:
        api = sidecar(fakes[2], "c", max_in_flight=2, kind="api", engine="openai_compatible")
        return (sidecar(fakes[0], "a", max_in_flight=room), sidecar(fakes[1], "b", max_in_flight=room + 1), api)

    run: Running = await start(*upstreams(2), **SETTINGS)
    quiet: list[bytes] = []

    async def ask() -> None:
        (path, body, end), stream = chance.choice(SURFACES), chance.random() < 0.6
        headers = {"Authorization": f"Bearer {KEY}"}
        asked = run.http.post(run.url + path, json={"model": "smol", "stream": stream, **body}, headers=headers)
        try:
            async with asyncio.timeout(chance.choice((0.005, 0.02, 0.1, 5, 5, 5))), asked as answer:
                text = await answer.read()
        except TimeoutError:
            return
        if answer.status == 200 and stream and end not in text and b'"error"' not in text:
            quiet.append(text)

    async def trouble() -> None:
        while True:
            await asyncio.sleep(0.03)
            for live in run.gateway.calls:
                if chance.random() < 0.03:
                    run.gateway.calls.end(live, ApiError(status=410, message="killed"))
            if chance.random() < 0.2:
                write_config(run.config_file.parent, *upstreams(chance.randrange(1, 5)), **SETTINGS)
                assert run.current.reload()
                run.gateway.follow()

    troubled = asyncio.create_task(trouble())
    for _ in range(6):
        await asyncio.gather(*(ask() for _ in range(40)))
    troubled.cancel()
    await until(lambda: not len(run.gateway.calls))
    assert not quiet
    assert {"ok", "cancelled", "ended", "truncated"} <= set(run.books.words)
    for one in run.gateway.upstreams.live.values():
        assert (one.in_flight, one.outstanding_tokens, one.load.held_tokens, one.circuit.trial) == (0, 0, 0, 0)
    await until(lambda: not any("SignsOfLife" in repr(task.get_coro()) for task in asyncio.all_tasks()))
    await until(lambda: sum(_is_open(exchange) for fake in fakes for exchange in fake.exchanges) == 0)


def _is_open(exchange: Exchange) -> bool:
    return not exchange.probe and not exchange.gone.is_set() and not exchange.writer.transport.is_closing()
