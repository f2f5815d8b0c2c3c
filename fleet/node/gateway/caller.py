"""Sending a request to an upstream: the narrow interface of the relay, and its aiohttp implementation.

One connection to one upstream is one context: leaving it before the answer's end closes the socket at once, and that
is what stops a generation (mlx/FACTS section 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Protocol

import aiohttp

from fleet.node.gateway.failures import UpstreamFailure, broken, unreachable
from fleet.node.gateway.tls import PinnedKey, WrongKey
from fleet.node.gateway.upstreams import LiveUpstream

_ERROR_BODY_BYTES = 64 * 1024
_RESET_TRIES = 4
_RESET_WINDOW_SECONDS = 2.0
_CONNECT_GAP_SECONDS = 0.002


class Bytes(Protocol):
    """The body of an upstream's answer, as it arrives."""

    async def read(self) -> bytes:
        """The next bytes; b"" at the end, however it ended: only [DONE] proves that an answer is complete."""
        ...

    async def finish(self) -> None:
        """The answer was complete: let the connection serve again, where it can."""
        ...


class Caller(Protocol):
    """What sends requests to upstreams."""

    def stream(
        self, upstream: LiveUpstream, path: str, body: bytes, *, request_id: str, connect_seconds: float
    ) -> AbstractAsyncContextManager[Bytes]:
        """The body of a 200 event stream. Raises UpstreamFailure. No limit in time but that of the connect."""
        ...

    async def get(
        self, upstream: LiveUpstream, path: str, *, longest_bytes: int, connect_seconds: float
    ) -> tuple[int, bytes]:
        """Status and body of a GET. Raises UpstreamFailure."""
        ...


class _AiohttpBytes:
    def __init__(self, response: aiohttp.ClientResponse, *, pooled: bool) -> None:
        self._response = response
        self._pooled = pooled

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError):
            return b""

    async def finish(self) -> None:
        if not self._pooled:
            return
        try:
            async with asyncio.timeout(0.05):  # the end of the body mostly comes with [DONE]
                while await self._response.content.readany():
                    pass
        except (TimeoutError, aiohttp.ClientError, OSError):
            return


class AiohttpCaller:
    """One client session for all upstreams. Pinned keys are checked before anything is sent."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._pins: dict[str, PinnedKey] = {}
        self._next_connect: dict[str, float] = {}

    @asynccontextmanager
    async def stream(
        self, upstream: LiveUpstream, path: str, body: bytes, *, request_id: str, connect_seconds: float
    ) -> AsyncIterator[Bytes]:
        """See Caller."""
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "x-fleet-request-id": request_id,
        }
        response = await self._send(upstream, "POST", path, headers, body, connect_seconds=connect_seconds)
        try:
            if response.status != 200:
                raise await _failure(upstream, response)
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise await _no_stream(upstream, response)
            yield _AiohttpBytes(response, pooled=upstream.engine.pooled)
        finally:
            _leave(response)

    async def get(
        self, upstream: LiveUpstream, path: str, *, longest_bytes: int, connect_seconds: float
    ) -> tuple[int, bytes]:
        """See Caller."""
        response = await self._send(
            upstream, "GET", path, {"Accept-Encoding": "identity"}, None, connect_seconds=connect_seconds
        )
        try:
            return response.status, await _bounded(response, longest_bytes)
        finally:
            _leave(response)

    async def _send(
        self,
        upstream: LiveUpstream,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        connect_seconds: float,
    ) -> aiohttp.ClientResponse:
        """The answer's head. A connection that is reset at once is tried again: mlx_lm's listen backlog is 5."""
        key = {"Authorization": f"Bearer {upstream.key.reveal()}"} if upstream.key is not None else {}
        loop = asyncio.get_running_loop()
        started = loop.time()
        for attempt in range(_RESET_TRIES):
            await self._pace(upstream)
            try:
                return await self._session.request(
                    method,
                    upstream.spec.url.rstrip("/") + path,
                    data=body,
                    headers={**headers, **key},
                    ssl=self._pin(upstream),
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds),
                    allow_redirects=False,
                )
            except WrongKey as error:
                raise unreachable(f"not the node that was adopted: {error}") from error
            except aiohttp.ClientConnectorError as error:
                raise unreachable(_connect_problem(error)) from error
            except aiohttp.ConnectionTimeoutError as error:
                raise unreachable(f"no connection within {connect_seconds:g} s") from error
            except (aiohttp.ClientError, OSError) as error:
                if attempt + 1 == _RESET_TRIES or loop.time() - started > _RESET_WINDOW_SECONDS:
                    raise broken("closed the connection without an answer") from error
                await asyncio.sleep(0.02 * 2**attempt)
        raise broken("closed the connection without an answer")

    async def _pace(self, upstream: LiveUpstream) -> None:
        """Space connects to a server that cannot queue them."""
        if upstream.engine.pooled:
            return
        now = asyncio.get_running_loop().time()
        at = max(now, self._next_connect.get(upstream.name, 0.0))
        self._next_connect[upstream.name] = at + _CONNECT_GAP_SECONDS
        if at > now:
            await asyncio.sleep(at - now)

    def _pin(self, upstream: LiveUpstream) -> PinnedKey | bool:
        pin = upstream.spec.pin
        return True if pin is None else self._pins.setdefault(pin, PinnedKey(pin))


def _leave(response: aiohttp.ClientResponse) -> None:
    """Give the connection back when the answer is complete, else cut it now, without TLS's long goodbye."""
    if response.content.at_eof():
        response.release()
        return
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


async def _bounded(response: aiohttp.ClientResponse, longest_bytes: int) -> bytes:
    """The body, cut at `longest_bytes`; what a broken connection left of it."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(5.0):
            while size < longest_bytes and (part := await response.content.read(longest_bytes - size)):
                parts.append(part)
                size += len(part)
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    return b"".join(parts)


async def _failure(upstream: LiveUpstream, response: aiohttp.ClientResponse) -> UpstreamFailure:
    error = upstream.engine.map_error(response.status, await _bounded(response, _ERROR_BODY_BYTES))
    after = response.headers.get("Retry-After", "")
    if after.isascii() and after.isdigit() and len(after) < 6:
        error = replace(error, retry_after_seconds=float(after))
    return UpstreamFailure(error)


async def _no_stream(upstream: LiveUpstream, response: aiohttp.ClientResponse) -> UpstreamFailure:
    """200 with a body that is no stream: an error in disguise (SPEC section 3.1), or another surface altogether."""
    body = await _bounded(response, _ERROR_BODY_BYTES)
    if b'"error"' in body:
        return UpstreamFailure(replace(upstream.engine.map_error(500, body), retryable=True))
    return broken("answered with something that is no event stream")


def _connect_problem(error: aiohttp.ClientConnectorError) -> str:
    """Why, without the address: clients read it."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is not known"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no TLS with it"
    cause = error.os_error
    return (cause.strerror or type(cause).__name__).lower() if cause.errno else "cannot be reached"
