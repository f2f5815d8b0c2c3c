"""HTTP/1.1 towards upstreams, held against a server that is made of bytes."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from gateway_harness import until
from raw_server import Line, RawServer, Talk, says, says_and_closes

from fleet.engines import ErrorKind
from fleet.engines.registry import engine
from fleet.node.gateway.caller import HttpCaller, Reply
from fleet.node.gateway.failures import UpstreamFailure
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.traffic.config import Upstream

OK = b"HTTP/1.1 200 OK\r\n"
LONGEST = 64 * 1024 * 1024
WHOLE = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass
class Asked:
    """An upstream, and who asks it."""

    caller: HttpCaller
    upstream: LiveUpstream
    server: RawServer

    async def ask(self, body: bytes = b"{}") -> Reply:
        return await self.caller.ask(self.upstream, "/v1/x", body, headers={}, connect_seconds=2)

    async def body(self, body: bytes = b"{}") -> bytes:
        """The whole body of an answer that must be complete."""
        reply = await self.ask(body)
        try:
            return await reply.whole(longest_bytes=LONGEST)
        finally:
            reply.cut()

    async def failure(self, body: bytes = b"{}") -> UpstreamFailure:
        with pytest.raises(UpstreamFailure) as caught:
            await self.body(body)
        return caught.value


Dial = Callable[..., Awaitable[Asked]]


def upstream_at(url: str, **changes: Any) -> LiveUpstream:
    values = {"name": "u", "kind": "api", "url": url, "engine": "openai_compatible", "serves": "m", "model": "m"}
    spec = Upstream(**{**values, **changes})
    return LiveUpstream(spec, engine(spec.engine))


@pytest.fixture(name="dial")
async def _dial() -> AsyncIterator[Dial]:
    servers: list[RawServer] = []
    caller = HttpCaller()

    async def go(talk: Talk, **changes: Any) -> Asked:
        server = await RawServer(talk).__aenter__()
        servers.append(server)
        return Asked(caller, upstream_at(server.url, **changes), server)

    yield go
    caller.close()
    for server in servers:
        await server.__aexit__(None, None, None)


ANSWERS = {
    "content-length": (WHOLE, b"hello"),
    "no body": (OK + b"Content-Length: 0\r\n\r\n", b""),
    "chunked": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "chunk extensions": (CHUNKED + b'5;name=value;q="x"\r\nhello\r\n0;last\r\n\r\n', b"hello"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nX-Late: yes\r\nX-Later: yes\r\n\r\n", b"hello"),
    "chunk sizes in both cases": (
        CHUNKED + b"A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n",
        b"01234567890123456789a",
    ),
    "100 first": (b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE, b"hello"),
    "103 with headers first": (
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\nLink: </x>\r\n\r\n" + WHOLE,
        b"hello",
    ),
    "many 1xx": (b"HTTP/1.1 102 Processing\r\n\r\n" * 9 + WHOLE, b"hello"),
    "blank lines first": (b"\r\n" + WHOLE, b"hello"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "header without a value": (OK + b"X-Empty:\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "the same header twice": (OK + b"X-A: 1\r\nX-A: 2\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "latin-1 in a header": (OK + b"X-A: caf\xe9\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("dripped", [False, True])
async def test_every_framing_of_the_standard_gives_the_body_and_the_connection_serves_again(
    dial: Dial, name: str, *, dripped: bool
) -> None:
    answer, body = ANSWERS[name]

    async def talk(line: Line) -> None:
        while True:
            await line.request()
            await (line.drip(answer) if dripped else line.send(answer))

    asked = await dial(talk)
    assert [await asked.body() for _ in range(3)] == [body] * 3
    assert len(asked.server.lines) == 1


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("dripped", [False, True])
async def test_a_body_without_a_length_ends_with_its_connection(dial: Dial, version: bytes, *, dripped: bool) -> None:
    answer = b"HTTP/%b 200 OK\r\nContent-Type: text/plain\r\n\r\nhello" % version

    async def talk(line: Line) -> None:
        await line.request()
        await (line.drip(answer) if dripped else line.send(answer))

    asked = await dial(talk)
    assert [await asked.body() for _ in range(2)] == [b"hello"] * 2
    assert len(asked.server.lines) == 2


async def test_a_body_without_a_length_that_is_reset_is_not_complete(dial: Dial) -> None:
    async def talk(line: Line) -> None:
        await line.request()
        await line.send(OK + b"Content-Type: text/plain\r\n\r\nhell")
        await line.left()

    asked = await dial(talk)
    reply = await asked.ask()
    assert await reply.read() == b"hell"
    asked.server.lines[0].reset()
    with pytest.raises(UpstreamFailure, match="cut off"):
        await reply.whole(longest_bytes=LONGEST)


CUT_SHORT = [
    OK + b"Content-Length: 5\r\n\r\nhell",
    OK + b"Content-Length: 5\r\n\r\n",
    CHUNKED,
    CHUNKED + b"5",
    CHUNKED + b"5\r\nhel",
    CHUNKED + b"5\r\nhello\r\n",
    CHUNKED + b"5\r\nhello\r\n0\r\n",
]


@pytest.mark.parametrize("answer", CUT_SHORT)
@pytest.mark.parametrize("reset", [False, True])
async def test_a_framed_body_that_breaks_off_is_never_a_whole_one(dial: Dial, answer: bytes, *, reset: bool) -> None:
    async def talk(line: Line) -> None:
        await line.request()
        await line.send(answer)
        if reset:
            line.reset()

    asked = await dial(talk)
    failure = await asked.failure()
    assert failure.error.kind is ErrorKind.BROKEN


GARBAGE = {
    "no http": b"hello there, this is no HTTP at all\r\n\r\n",
    "tls": b"\x15\x03\x01\x00\x02\x02\x28",
    "a binary header": OK + b"X-\x00: 1\r\nContent-Length: 0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a negative length": OK + b"Content-Length: -5\r\n\r\nhello",
    "a length beyond all": OK + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "length and chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "half a head": OK + b"Content-Le",
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "http/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "a head too long": OK + b"".join(b"X-%d: %b\r\n" % (at, b"y" * 1000) for at in range(100)) + b"\r\n",
    "a line too long": OK + b"X-A: " + b"y" * 300_000,
    "a reason too long": b"HTTP/1.1 200 " + b"y" * 300_000,
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_what_is_no_answer_is_a_failure_and_is_not_asked_for_again(dial: Dial, name: str) -> None:
    """Who began to answer has had the request: to send it once more could make (and bill) it twice."""
    asked = await dial(says_and_closes(GARBAGE[name]))
    failure = await asked.failure()
    assert failure.error.kind is ErrorKind.BROKEN
    assert asked.server.requests == 1


async def test_a_head_without_end_is_given_up_and_not_collected(dial: Dial) -> None:
    async def talk(line: Line) -> None:
        await line.request()
        await line.send(OK + b"X-A: ")
        await line.flood(b"y" * 65536, most_bytes=LONGEST)

    asked = await dial(talk)
    await asked.failure()
    assert asked.server.lines[0].accepted_bytes < LONGEST / 2


@pytest.mark.parametrize("garbage", [b"zz\r\nhello", b"-5\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloworld\r\n0\r\n\r\n"])
async def test_a_chunk_that_is_none_ends_the_answer_as_broken(dial: Dial, garbage: bytes) -> None:
    asked = await dial(says(CHUNKED + b"2\r\nok\r\n" + garbage))
    assert (await asked.failure()).error.kind is ErrorKind.BROKEN


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_ends_with_its_head(dial: Dial, status: int) -> None:
    asked = await dial(says(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status))
    async with asyncio.timeout(60):
        got = [await asked.caller.get(asked.upstream, "/v1/x", longest_bytes=9, connect_seconds=2) for _ in range(2)]
    assert got == [(status, b"")] * 2


async def test_the_last_of_two_equal_headers_counts_and_trailers_change_none(dial: Dial) -> None:
    asked = await dial(
        says(OK + b"X-A: 1\r\nx-a: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-A: 3\r\nX-B: 1\r\n\r\n")
    )
    reply = await asked.ask()
    assert await reply.whole(longest_bytes=9) == b"ok"
    assert (reply.headers["x-a"], "x-b" in reply.headers) == ("2", False)
    reply.cut()


async def test_the_headers_of_a_1xx_are_not_those_of_the_answer(dial: Dial) -> None:
    asked = await dial(says(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + WHOLE))
    reply = await asked.ask()
    assert list(reply.headers) == ["content-length"]
    reply.cut()


async def test_a_second_answer_that_nobody_asked_for_is_never_read_as_the_first(dial: Dial) -> None:
    asked = await dial(says(WHOLE + OK + b"Content-Length: 6\r\nX-Evil: 1\r\n\r\n-evil-"))
    for _ in range(3):
        reply = await asked.ask()
        assert await reply.whole(longest_bytes=LONGEST) == b"hello"
        assert "x-evil" not in reply.headers
        reply.cut()
    assert len(asked.server.lines) == 3


async def test_what_comes_on_an_idle_connection_ends_it(dial: Dial) -> None:
    asked = await dial(says(WHOLE))
    assert await asked.body() == b"hello"
    await asked.server.lines[0].send(OK + b"Content-Length: 6\r\n\r\n-evil-")
    await until(lambda: asked.server.open == 0)
    assert await asked.body() == b"hello"
    assert len(asked.server.lines) == 2


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_a_connection_that_the_peer_will_close_does_not_serve_again(dial: Dial, answer: bytes) -> None:
    asked = await dial(says(answer))
    assert [await asked.body() for _ in range(2)] == [b"hello"] * 2
    assert [line.requests for line in asked.server.lines] == [1, 1]


async def test_an_old_server_that_keeps_its_connection_is_asked_on_it_again(dial: Dial) -> None:
    asked = await dial(says(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"))
    assert [await asked.body() for _ in range(2)] == [b"hello"] * 2
    assert len(asked.server.lines) == 1


async def test_a_peer_that_closed_an_idle_connection_is_asked_on_another_and_nobody_notices(dial: Dial) -> None:
    async def talk(line: Line) -> None:
        await line.request()
        await line.send(WHOLE)
        await line.request()  # and closes without a word: the race that every idle connection may lose

    asked = await dial(talk, kind="edge", engine="edge")
    assert [await asked.body() for _ in range(4)] == [b"hello"] * 4
    assert max(line.requests for line in asked.server.lines) == 2


async def test_nothing_is_sent_twice_to_an_api_that_may_have_begun_to_bill(dial: Dial) -> None:
    async def talk(line: Line) -> None:
        await line.request()
        await line.send(WHOLE)
        await line.request()

    asked = await dial(talk)
    assert await asked.body() == b"hello"
    failure = await asked.failure()
    assert failure.error.retryable  # elsewhere: that attempt is counted, and paid for on its own
    assert asked.server.requests == 2
    assert await asked.body() == b"hello"


async def test_what_is_known_of_an_upstream_goes_with_it(dial: Dial) -> None:
    asked = await dial(says(WHOLE))
    assert await asked.body() == b"hello"
    gone = weakref.ref(asked.upstream)
    asked.upstream = upstream_at(asked.server.url)
    gc.collect()
    assert gone() is None


async def test_one_lost_request_costs_one_more_however_many_connections_are_idle(dial: Dial) -> None:
    """A request that ends its server must not be thrown at it over every connection there is."""

    async def talk(line: Line) -> None:
        while True:
            _, body = await line.request()
            if body == b"poison":
                return
            await asyncio.sleep(0.05)
            await line.send(WHOLE)

    asked = await dial(talk, kind="edge", engine="edge")
    assert await asyncio.gather(*(asked.body() for _ in range(8))) == [b"hello"] * 8
    before = asked.server.requests
    failure = await asked.failure(b"poison")
    assert failure.error.kind is ErrorKind.BROKEN
    assert asked.server.requests - before <= 2


async def test_a_server_that_keeps_no_connections_is_tried_again_when_it_resets_at_once(dial: Dial) -> None:
    """mlx_lm's listen backlog is 5: a reset before any work says that it was full."""
    resets = 2

    async def talk(line: Line) -> None:
        nonlocal resets
        await line.request()
        resets -= 1
        if resets >= 0:
            line.reset()
            return
        await line.send(WHOLE)

    asked = await dial(talk, kind="sidecar", engine="mlx_lm")
    assert await asked.body() == b"hello"
    assert asked.server.requests == 3


async def test_an_answer_that_comes_before_the_request_was_read_is_heard(dial: Dial) -> None:
    async def talk(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        line.requests += 1
        await line.send(b"HTTP/1.1 413 X\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await line.left()

    asked = await dial(talk)
    failure = await asked.failure(b"x" * (16 * 1024 * 1024))
    assert failure.error.kind is ErrorKind.BAD_REQUEST
    assert asked.server.requests == 1


async def test_a_connection_whose_request_was_not_taken_does_not_serve_again(dial: Dial) -> None:
    """An early answer leaves the rest of its request in our buffers: what follows would wait behind it."""

    async def talk(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        line.requests += 1
        await line.send(WHOLE)
        await line.gone.wait()

    asked = await dial(talk)
    big = b"x" * (16 * 1024 * 1024)
    async with asyncio.timeout(20):
        assert [await asked.body(big) for _ in range(2)] == [b"hello"] * 2
    assert len(asked.server.lines) == 2


async def test_a_request_of_64_mb_reaches_a_peer_that_reads_slowly(dial: Dial) -> None:
    got = 0

    async def talk(line: Line) -> None:
        nonlocal got
        await line.reader.readuntil(b"\r\n\r\n")
        while got < LONGEST:
            got += len(await line.reader.read(1024 * 1024))
            await asyncio.sleep(0)
        await line.send(WHOLE)

    asked = await dial(talk)
    assert await asked.body(b"x" * LONGEST) == b"hello"
    assert got == LONGEST


async def test_who_does_not_read_holds_the_peer_back_and_loses_nothing(dial: Dial) -> None:
    size = 32 * 1024 * 1024

    async def talk(line: Line) -> None:
        await line.request()
        await line.send(OK + b"Content-Length: %d\r\n\r\n" % size)
        await line.flood(b"y" * 65536, most_bytes=size)

    asked = await dial(talk)
    reply = await asked.ask()
    line = asked.server.lines[0]
    seen = -1
    while seen != line.accepted_bytes:
        seen = line.accepted_bytes
        await asyncio.sleep(0.1)
    assert seen < size / 2
    assert reply._wire._pending_bytes <= 768 * 1024  # type: ignore[attr-defined]  # the bound is of what is held
    got = len(await reply.whole(longest_bytes=size))
    assert got == size
    reply.cut()


@pytest.mark.parametrize("size", [200_000, 300_000, 400_000, 500_000])
async def test_an_answer_that_nobody_read_is_not_in_the_way_of_the_next(dial: Dial, size: int) -> None:
    """All of it may be here, and its connection held back: it must not serve on, deaf, or with old bytes."""
    big = OK + b"Content-Length: %d\r\n\r\n" % size + b"y" * size
    answers = [big, WHOLE]

    async def talk(line: Line) -> None:
        while True:
            await line.request()
            await line.send(answers.pop(0))

    asked = await dial(talk)
    reply = await asked.ask()
    with suppress(TimeoutError):
        await until(lambda: reply._wire.complete, within=0.5)  # type: ignore[attr-defined]
    reply.cut()
    async with asyncio.timeout(60):
        assert await asked.body() == b"hello"


async def test_an_answer_that_is_longer_than_its_bound_is_a_failure_and_its_connection_ends(dial: Dial) -> None:
    asked = await dial(says(OK + b"Content-Length: 1000000\r\n\r\n" + b"y" * 1_000_000))
    reply = await asked.ask()
    with pytest.raises(UpstreamFailure, match="more than 1000 bytes"):
        await reply.whole(longest_bytes=1000)
    reply.cut()


@pytest.mark.parametrize("stage", ["head", "half a head", "body", "half a chunk"])
async def test_a_cancel_in_any_stage_leaves_no_connection_open(dial: Dial, stage: str) -> None:
    sent = {
        "head": b"",
        "half a head": OK,
        "body": OK + b"Content-Length: 9\r\n\r\nhe",
        "half a chunk": CHUNKED + b"5\r\nh",
    }

    async def talk(line: Line) -> None:
        await line.request()
        await line.send(sent[stage])
        await line.left()

    asked = await dial(talk)
    task = asyncio.create_task(asked.body())
    await until(lambda: asked.server.requests == 1)
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    await until(lambda: asked.server.open == 0)
