"""Sending a request to an upstream: the narrow interface of the relay, and its implementation on kept connections.

Cutting an answer before its end closes the socket at once, and that is what stops a generation (mlx/FACTS section 3).
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import fleet
from fleet.node.gateway.failures import UpstreamFailure, broken, unreachable
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.node.gateway.pool import Peer, Pool, peer_of
from fleet.node.gateway.tls import WrongKey
from fleet.node.gateway.wire import Broken, Wire, head_of

_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": f"fleet/{fleet.__version__}",
}
_ERROR_BODY_BYTES = 64 * 1024
_ERROR_SECONDS = 5.0
_END_SECONDS = 0.05
_RESET_TRIES = 4
_RESET_WINDOW_SECONDS = 2.0
_CONNECT_GAP_SECONDS = 0.002


class Reply(Protocol):
    """A 200 of an upstream. Names in `headers` are in lower case; `events` tells an event stream from a whole body."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The head of the answer."""
        ...

    @property
    def events(self) -> bool:
        """Whether the body is an event stream."""
        ...

    async def read(self) -> bytes:
        """The next bytes; b"" at the end, however it ended: only [DONE] proves that a stream is complete."""
        ...

    async def whole(self, *, longest_bytes: int) -> bytes:
        """The whole body. Raises UpstreamFailure when it is cut, or longer."""
        ...

    async def finish(self) -> None:
        """The answer was complete: let the connection serve again, where it can."""
        ...

    def cut(self) -> None:
        """Leave: the connection goes back when the body was read to its end, else it is closed at once."""
        ...


class Caller(Protocol):
    """What sends requests to upstreams."""

    async def ask(
        self, upstream: LiveUpstream, path: str, body: bytes, *, headers: Mapping[str, str], connect_seconds: float
    ) -> Reply:
        """The 200 to a POST. Raises UpstreamFailure. No limit in time but that of the connect."""
        ...

    async def get(
        self, upstream: LiveUpstream, path: str, *, longest_bytes: int, connect_seconds: float
    ) -> tuple[int, bytes]:
        """Status and body of a GET. Raises UpstreamFailure."""
        ...


class _WireReply:
    __slots__ = ("_keep", "_peer", "_pool", "_wire")

    def __init__(self, wire: Wire, pool: Pool, peer: Peer, *, keep: bool) -> None:
        self._wire = wire
        self._pool = pool
        self._peer = peer
        self._keep = keep

    @property
    def headers(self) -> Mapping[str, str]:
        return self._wire.headers

    @property
    def events(self) -> bool:
        return self._wire.headers.get("content-type", "").startswith("text/event-stream")

    async def read(self) -> bytes:
        return await self._wire.read()

    async def whole(self, *, longest_bytes: int) -> bytes:
        wire = self._wire
        data = await wire.read()
        if wire.read_out and len(data) <= longest_bytes:
            return data
        parts, size = [data], len(data)
        while data and size <= longest_bytes:
            data = await wire.read()
            parts.append(data)
            size += len(data)
        if size > longest_bytes:
            raise broken(f"sent an answer of more than {longest_bytes} bytes", code="answer_too_large")
        if not wire.complete:
            raise broken("was cut off in the middle of its answer", code="answer_truncated")
        return b"".join(parts)

    async def finish(self) -> None:
        if self._wire.complete or not self._keep:
            return
        try:
            async with asyncio.timeout(_END_SECONDS):  # the end of the body mostly comes with [DONE]
                while await self._wire.read():
                    pass
        except TimeoutError:
            return

    def cut(self) -> None:
        if self._wire.complete and self._keep:
            self._pool.keep(self._peer, self._wire)
        else:
            self._wire.cut()


class HttpCaller:
    """Asks upstreams over kept connections. Pinned keys are checked before anything is sent."""

    def __init__(self) -> None:
        self._pool = Pool()
        self._peers: dict[tuple[str, str | None], Peer] = {}
        self._heads: WeakKeyDictionary[LiveUpstream, dict[tuple[str, str], bytes]] = WeakKeyDictionary()
        self._next_connect: dict[str, float] = {}

    async def ask(
        self, upstream: LiveUpstream, path: str, body: bytes, *, headers: Mapping[str, str], connect_seconds: float
    ) -> Reply:
        """See Caller."""
        reply, wire = await self._send(upstream, "POST", path, body, headers=headers, connect_seconds=connect_seconds)
        if wire.status == 200:
            return reply
        try:
            raise await _failure(upstream, wire)
        finally:
            reply.cut()

    async def get(
        self, upstream: LiveUpstream, path: str, *, longest_bytes: int, connect_seconds: float
    ) -> tuple[int, bytes]:
        """See Caller."""
        reply, wire = await self._send(upstream, "GET", path, b"", headers={}, connect_seconds=connect_seconds)
        try:
            return wire.status, await _bounded(wire, longest_bytes)
        finally:
            reply.cut()

    def close(self) -> None:
        """Close what is idle."""
        self._pool.close()

    async def _send(
        self,
        upstream: LiveUpstream,
        method: str,
        path: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        connect_seconds: float,
    ) -> tuple[_WireReply, Wire]:
        """The answer's head. A connection that ends at once, without a word, is tried again where that proves nothing.

        A kept one may have been closed while it was idle; mlx_lm's listen backlog is 5. Else the request may have been
        read, and to send it once more would be a second attempt that no budget knows of. To an API no POST is sent
        twice, not even then: it bills what it began. Our own machines stop a generation whose connection is gone.
        """
        spec = upstream.spec
        peer = self._peers.get((spec.url, spec.pin))
        if peer is None:
            peer = self._peers[spec.url, spec.pin] = peer_of(spec.url, spec.pin)
        more = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = self._head(upstream, method, path) + f"{more}Content-Length: {len(body)}\r\n\r\n".encode("latin-1")
        pooled = upstream.engine.pooled
        harmless = method == "GET" or spec.kind != "api"
        started = asyncio.get_running_loop().time()
        fresh = 0
        lost = False
        while True:
            wire = self._pool.idle(peer) if pooled and not lost else None
            kept = wire is not None
            if wire is None:
                if not pooled:
                    await self._pace(upstream)
                wire = await self._open(peer, connect_seconds)
                fresh += 1
            try:
                await wire.ask(head, body)
            except Broken as problem:
                wire.cut()
                if problem.answered:
                    raise broken("answered with something that is no HTTP") from problem
                late = asyncio.get_running_loop().time() - started > _RESET_WINDOW_SECONDS
                if late or not ((kept and harmless) or (not pooled and fresh < _RESET_TRIES)):
                    raise broken("closed the connection without an answer") from problem
                lost = True
                if not kept:
                    await asyncio.sleep(0.02 * 2 ** (fresh - 1))
            except BaseException:
                wire.cut()
                raise
            else:
                return _WireReply(wire, self._pool, peer, keep=pooled), wire

    async def _open(self, peer: Peer, connect_seconds: float) -> Wire:
        """A connection. Raises UpstreamFailure that says why there is none, without the address: clients read it."""
        try:
            return await self._pool.open(peer, seconds=connect_seconds)
        except WrongKey as error:
            raise unreachable(f"not the node that was adopted: {error}") from error
        except TimeoutError as error:
            raise unreachable(f"no connection within {connect_seconds:g} s") from error
        except (socket.gaierror, UnicodeError) as error:  # a name that no encoding has (a label too long)
            raise unreachable("its name is not known") from error
        except ssl.SSLError as error:
            raise unreachable("no TLS with it") from error
        except OSError as error:
            # the error's own text has the address
            why = os.strerror(error.errno).lower() if error.errno else "cannot be reached"
            raise unreachable(why) from error

    def _head(self, upstream: LiveUpstream, method: str, path: str) -> bytes:
        """What is the same in every request there. It ends with the line before the last."""
        heads = self._heads.get(upstream)
        if heads is None:
            heads = self._heads[upstream] = {}
        head = heads.get((method, path))
        if head is None:
            url = urlsplit(upstream.spec.url)
            key = {"Authorization": f"Bearer {upstream.key.reveal()}"} if upstream.key is not None else {}
            close = {} if upstream.engine.pooled else {"Connection": "close"}
            target = url.path.rstrip("/").removesuffix("/v1") + path
            headers = {"Host": url.netloc.rpartition("@")[2], **_HEADERS, **upstream.spec.headers, **key, **close}
            head = head_of(method, target, headers)
            if "?" not in path:  # a question of its own is asked once
                heads[method, path] = head
        return head

    async def _pace(self, upstream: LiveUpstream) -> None:
        """Space connects to a server that cannot queue them."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._next_connect.get(upstream.name, 0.0))
        self._next_connect[upstream.name] = at + _CONNECT_GAP_SECONDS
        if at > now:
            await asyncio.sleep(at - now)


async def _bounded(wire: Wire, longest_bytes: int) -> bytes:
    """The body, cut at `longest_bytes`; what a broken connection left of it."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_ERROR_SECONDS):
            while size < longest_bytes and (part := await wire.read()):
                parts.append(part)
                size += len(part)
    except TimeoutError:
        pass
    return b"".join(parts)[:longest_bytes]


async def _failure(upstream: LiveUpstream, wire: Wire) -> UpstreamFailure:
    error = upstream.engine.map_error(wire.status, await _bounded(wire, _ERROR_BODY_BYTES))
    after = wire.headers.get("retry-after", "")
    if after.isascii() and after.isdigit() and len(after) < 6:
        error = replace(error, retry_after_seconds=float(after))
    return UpstreamFailure(error, refused=True)
