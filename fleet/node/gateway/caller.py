"""Sending a request to an upstream: the narrow interface of the relay, and its aiohttp implementation.

Cutting an answer before its end closes the socket at once, and that is what stops a generation (mlx/FACTS section 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import aiohttp
from yarl import URL

import fleet
from fleet.node.gateway.failures import UpstreamFailure, broken, unreachable
from fleet.node.gateway.tls import PinnedKey, WrongKey
from fleet.node.gateway.upstreams import LiveUpstream

_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": f"fleet/{fleet.__version__}",
}
_ERROR_BODY_BYTES = 64 * 1024
_RESET_TRIES = 4
_RESET_WINDOW_SECONDS = 2.0
_CONNECT_GAP_SECONDS = 0.002


class Reply(Protocol):
    """A 200 of an upstream. `headers` do not care for case; `events` tells an event stream from a whole body."""

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


class _AiohttpReply:
    __slots__ = ("_pooled", "_response", "events")

    def __init__(self, response: aiohttp.ClientResponse, *, pooled: bool) -> None:
        self._response = response
        self._pooled = pooled
        self.events = response.headers.get("Content-Type", "").startswith("text/event-stream")

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError):
            return b""

    async def whole(self, *, longest_bytes: int) -> bytes:
        content = self._response.content
        parts: list[bytes] = []
        size = 0
        try:
            while part := await content.readany():
                parts.append(part)
                size += len(part)
                if size > longest_bytes:
                    raise broken(f"sent an answer of more than {longest_bytes} bytes", code="answer_too_large")
        except (aiohttp.ClientError, OSError):
            raise broken("was cut off in the middle of its answer", code="answer_truncated") from None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def finish(self) -> None:
        if not self._pooled or self._response.content.at_eof():
            return
        try:
            async with asyncio.timeout(0.05):  # the end of the body mostly comes with [DONE]
                while await self._response.content.readany():
                    pass
        except (TimeoutError, aiohttp.ClientError, OSError):
            return

    def cut(self) -> None:
        _leave(self._response)


class AiohttpCaller:
    """One client session for all upstreams. Pinned keys are checked before anything is sent."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._pins: dict[str, PinnedKey] = {}
        self._next_connect: dict[str, float] = {}
        self._urls: dict[tuple[str, str], URL] = {}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    async def ask(
        self, upstream: LiveUpstream, path: str, body: bytes, *, headers: Mapping[str, str], connect_seconds: float
    ) -> Reply:
        """See Caller."""
        response = await self._send(upstream, "POST", path, headers, body, connect_seconds=connect_seconds)
        if response.status == 200:
            return _AiohttpReply(response, pooled=upstream.engine.pooled)
        try:
            raise await _failure(upstream, response)
        finally:
            _leave(response)

    async def get(
        self, upstream: LiveUpstream, path: str, *, longest_bytes: int, connect_seconds: float
    ) -> tuple[int, bytes]:
        """See Caller."""
        response = await self._send(upstream, "GET", path, {}, None, connect_seconds=connect_seconds)
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
        sent = {**_HEADERS, **upstream.spec.headers, **headers}
        if upstream.key is not None:
            sent["Authorization"] = f"Bearer {upstream.key.reveal()}"
        started = 0.0
        for attempt in range(_RESET_TRIES):
            if not upstream.engine.pooled:
                await self._pace(upstream)
            try:
                return await self._session.request(
                    method,
                    self._url(upstream, path),
                    data=body,
                    headers=sent,
                    ssl=self._pin(upstream),
                    timeout=self._timeout(connect_seconds),
                    allow_redirects=False,
                )
            except WrongKey as error:
                raise unreachable(f"not the node that was adopted: {error}") from error
            except aiohttp.ClientConnectorError as error:
                raise unreachable(_connect_problem(error)) from error
            except aiohttp.ConnectionTimeoutError as error:
                raise unreachable(f"no connection within {connect_seconds:g} s") from error
            except (aiohttp.ClientError, OSError) as error:
                now = asyncio.get_running_loop().time()
                started = started or now
                if attempt + 1 == _RESET_TRIES or now - started > _RESET_WINDOW_SECONDS:
                    raise broken("closed the connection without an answer") from error
                await asyncio.sleep(0.02 * 2**attempt)
        raise broken("closed the connection without an answer")

    async def _pace(self, upstream: LiveUpstream) -> None:
        """Space connects to a server that cannot queue them."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._next_connect.get(upstream.name, 0.0))
        self._next_connect[upstream.name] = at + _CONNECT_GAP_SECONDS
        if at > now:
            await asyncio.sleep(at - now)

    def _url(self, upstream: LiveUpstream, path: str) -> URL:
        base = upstream.spec.url
        url = self._urls.get((base, path))
        if url is None:
            url = self._urls[base, path] = URL(base.rstrip("/").removesuffix("/v1") + path)
        return url

    def _timeout(self, connect_seconds: float) -> aiohttp.ClientTimeout:
        found = self._timeouts.get(connect_seconds)
        if found is None:
            found = aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds)
            self._timeouts[connect_seconds] = found
        return found

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


def _connect_problem(error: aiohttp.ClientConnectorError) -> str:
    """Why, without the address: clients read it."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is not known"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no TLS with it"
    cause = error.os_error
    return (cause.strerror or type(cause).__name__).lower() if cause.errno else "cannot be reached"
