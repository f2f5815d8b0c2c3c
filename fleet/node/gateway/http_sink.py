"""A streamed answer on aiohttp: the relay's Sink."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from fleet.node.gateway.failures import ClientGone

_STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


class HttpSink:
    """See Sink. `response` is None until the status has been sent."""

    __slots__ = ("_request", "response")

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self.response: web.StreamResponse | None = None

    @property
    def begun(self) -> bool:
        """See Sink."""
        return self.response is not None

    async def begin(self, headers: Mapping[str, str]) -> None:
        """See Sink."""
        if self.response is not None:
            return
        response = web.StreamResponse(headers={**_STREAM_HEADERS, **headers})
        self.response = response
        try:
            await response.prepare(self._request)
        except ConnectionError:
            raise ClientGone from None

    async def write(self, data: bytes) -> None:
        """See Sink."""
        if self.response is None:
            raise RuntimeError("the stream has not begun")
        try:
            await self.response.write(data)
        except ConnectionError:
            raise ClientGone from None
