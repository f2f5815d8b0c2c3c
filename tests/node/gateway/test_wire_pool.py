"""Connections to upstreams: who is at the other end, how long that may take, and that none is left behind."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from gateway_harness import Identity, until
from raw_server import Line, RawServer, says

from fleet.engines.registry import engine
from fleet.node.gateway.caller import HttpCaller
from fleet.node.gateway.failures import UpstreamFailure
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.node.gateway.pool import Peer, Pool
from fleet.node.gateway.tls import server_context
from fleet.traffic.config import Upstream

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
OTHER_PIN = "sha256//" + "A" * 43 + "="


@pytest.fixture(name="caller")
def _caller() -> Iterator[HttpCaller]:
    with closing(HttpCaller()) as caller:
        yield caller


def upstream_at(url: str, pin: str | None = None) -> LiveUpstream:
    spec = Upstream(name="u", kind="edge", url=url, engine="edge", serves="m", model="m", pin=pin)
    return LiveUpstream(spec, engine(spec.engine))


async def ask(caller: HttpCaller, upstream: LiveUpstream, *, connect_seconds: float = 5.0) -> bytes:
    reply = await caller.ask(upstream, "/v1/x", b"secret", headers={}, connect_seconds=connect_seconds)
    try:
        return await reply.whole(longest_bytes=100)
    finally:
        reply.cut()


async def test_the_pinned_key_is_asked_and_its_connection_serves_again(
    caller: HttpCaller, identity: Callable[[str], Identity]
) -> None:
    mini = identity("mini")
    async with RawServer(says(WHOLE), tls=server_context(mini.listen)) as server:
        assert [await ask(caller, upstream_at(server.url, mini.pin)) for _ in range(3)] == [b"hello"] * 3
        assert len(server.lines) == 1


async def test_a_peer_with_another_key_gets_not_one_byte_and_no_second_try(
    caller: HttpCaller, identity: Callable[[str], Identity]
) -> None:
    heard = []

    async def talk(line: Line) -> None:
        heard.append(await line.reader.read(1))

    async with RawServer(talk, tls=server_context(identity("other").listen)) as server:
        with pytest.raises(UpstreamFailure, match="not the node that was adopted"):
            await ask(caller, upstream_at(server.url, identity("mini").pin))
        await until(lambda: len(server.lines) == 1 and server.open == 0)
    assert heard in ([b""], [])


async def test_a_key_that_no_authority_knows_is_refused_where_nothing_is_pinned(
    caller: HttpCaller, identity: Callable[[str], Identity]
) -> None:
    async with RawServer(says(WHOLE), tls=server_context(identity("mini").listen)) as server:
        with pytest.raises(UpstreamFailure, match="no TLS"):
            await ask(caller, upstream_at(server.url))
        assert server.requests == 0


async def test_a_connection_to_one_key_is_never_used_for_another(
    caller: HttpCaller, identity: Callable[[str], Identity]
) -> None:
    mini = identity("mini")
    async with RawServer(says(WHOLE), tls=server_context(mini.listen)) as server:
        await ask(caller, upstream_at(server.url, mini.pin))
        with pytest.raises(UpstreamFailure, match="not the node"):
            await ask(caller, upstream_at(server.url, OTHER_PIN))
        assert server.requests == 1


async def test_a_peer_that_speaks_no_tls_is_told_as_that(caller: HttpCaller) -> None:
    async def talk(line: Line) -> None:
        await line.reader.read(1)
        await line.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with RawServer(talk) as server:
        with pytest.raises(UpstreamFailure, match="no TLS"):
            await ask(caller, upstream_at(server.url.replace("http:", "https:"), OTHER_PIN))


async def silent(line: Line) -> None:
    await line.left()


async def test_a_handshake_that_does_not_end_is_given_up_and_its_connection_closed(caller: HttpCaller) -> None:
    async with RawServer(silent) as server:
        with pytest.raises(UpstreamFailure, match=r"no connection within 0\.2 s"):
            await ask(caller, upstream_at(server.url.replace("http:", "https:"), OTHER_PIN), connect_seconds=0.2)
        await until(lambda: len(server.lines) == 1 and server.open == 0)


async def test_a_cancel_in_the_handshake_leaves_no_connection_and_no_other_one_deaf(
    caller: HttpCaller, identity: Callable[[str], Identity]
) -> None:
    mini = identity("mini")
    async with (
        RawServer(silent) as server,
        RawServer(says(WHOLE), tls=server_context(mini.listen)) as healthy,
    ):
        url = server.url.replace("http:", "https:")
        asking = [asyncio.create_task(ask(caller, upstream_at(url, OTHER_PIN))) for _ in range(8)]
        await until(lambda: server.open == 8)
        for task in asking:
            task.cancel()
        good = [asyncio.create_task(ask(caller, upstream_at(healthy.url, mini.pin))) for _ in range(8)]
        await asyncio.wait(asking)
        assert all(task.cancelled() for task in asking)
        assert await asyncio.gather(*good) == [b"hello"] * 8
        await until(lambda: server.open == 0)


async def test_nobody_there_and_an_unknown_name_are_told_apart(caller: HttpCaller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UpstreamFailure, match="refused") as caught:
        await ask(caller, upstream_at(f"http://127.0.0.1:{port}"))
    assert str(port) not in str(caught.value), "clients read it: where our machines are is not theirs to know"
    with pytest.raises(UpstreamFailure, match="name is not known"):
        await ask(caller, upstream_at("http://no-such-node.invalid:1"))


class BlackHole:
    """A port that takes no connection and refuses none: its backlog is full."""

    def __init__(self, family: socket.AddressFamily, host: str) -> None:
        self._fill: list[socket.socket] = []
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind((host, 0))
        self.listener.listen(0)
        self.address = self.listener.getsockname()
        for _ in range(8):
            filler = socket.socket(family, socket.SOCK_STREAM)
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(self.address)
            self._fill.append(filler)

    def close(self) -> None:
        for one in (*self._fill, self.listener):
            one.close()


only_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux leaves a full backlog silent")


@only_linux
async def test_a_connect_that_nobody_answers_is_given_up_in_time_and_its_sockets_closed() -> None:
    with closing(BlackHole(socket.AF_INET, "127.0.0.1")) as hole:
        with pytest.raises(TimeoutError):
            await Pool().open(Peer("127.0.0.1", hole.address[1], tls=False, pin=None), seconds=0.2)
        await until(lambda: not _connecting_to(hole.address[1], but=8))
        opening = asyncio.create_task(Pool().open(Peer("127.0.0.1", hole.address[1], tls=False, pin=None), seconds=9))
        await until(lambda: _connecting_to(hole.address[1], but=8))
        opening.cancel()
        await asyncio.wait((opening,))
        await until(lambda: not _connecting_to(hole.address[1], but=8))


@only_linux
async def test_an_address_that_does_not_answer_is_not_in_the_way_of_one_that_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Happy eyeballs: a name has an IPv6 address that leads nowhere, and one of IPv4 that works."""
    try:
        hole = BlackHole(socket.AF_INET6, "::1")
        dead = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", hole.address[1], 0, 0))
    except OSError:  # no IPv6 here: another address of loopback has to do
        hole = BlackHole(socket.AF_INET, "127.0.0.2")
        dead = (socket.AF_INET, socket.SOCK_STREAM, 6, "", hole.address)
    with closing(hole):
        async with RawServer(says(WHOLE)) as server:

            async def found(*_: Any, **__: Any) -> list[Any]:
                return [dead, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
            wire = await Pool().open(Peer("two-ways", server.port, tls=False, pin=None), seconds=5)
            await wire.ask(b"POST /v1/x HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"")
            assert await wire.read() == b"hello"
            wire.cut()
        await until(lambda: not _connecting_to(hole.address[1], but=8))


async def test_a_pool_that_closes_leaves_nothing_open() -> None:
    async with RawServer(says(WHOLE)) as server:
        pool = Pool()
        peer = Peer("127.0.0.1", server.port, tls=False, pin=None)
        wires = [await pool.open(peer, seconds=5) for _ in range(3)]
        for wire in wires:
            pool.keep(peer, wire)
        await until(lambda: server.open == 3)
        pool.close()
        await until(lambda: server.open == 0)
        assert pool.idle(peer) is None


async def test_the_youngest_connection_serves_first() -> None:
    async with RawServer(says(WHOLE)) as server:
        pool = Pool()
        peer = Peer("127.0.0.1", server.port, tls=False, pin=None)
        old, young = [await pool.open(peer, seconds=5) for _ in range(2)]
        pool.keep(peer, old)
        pool.keep(peer, young)
        assert (pool.idle(peer), pool.idle(peer), pool.idle(peer)) == (young, old, None)
        old.cut()
        young.cut()
        pool.close()


def _connecting_to(port: int, *, but: int) -> int:
    """How many connects to `port` are under way here, beside those `but` that fill its backlog."""
    with open("/proc/net/tcp") as four, open("/proc/net/tcp6") as six:
        lines = [line.split() for file in (four, six) for line in file.readlines()[1:]]
    return max(sum(line[2].endswith(f":{port:04X}") for line in lines) - but, 0)
