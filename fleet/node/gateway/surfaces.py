"""From a request at a surface to its answer: reading it, calling the relay, writing what comes."""

from __future__ import annotations

import hashlib
import time

from aiohttp import web
from multidict import CIMultiDict

from fleet.node.gateway.bodies import Bodies
from fleet.node.gateway.call import Call, LiveCall, LiveCalls
from fleet.node.gateway.doors import Visit, json_answer
from fleet.node.gateway.failures import ClientGone
from fleet.node.gateway.http_sink import HttpSink
from fleet.node.gateway.models import model_not_found
from fleet.node.gateway.relay import Relay
from fleet.node.gateway.reload import Current
from fleet.node.gateway.request import call_of, parse_object, read_body
from fleet.node.gateway.turned_away import repeated
from fleet.node.gateway.unread import Unread
from fleet.node.gateway.upstreams import Upstreams
from fleet.traffic.dialects.dialect import Dialect
from fleet.traffic.dialects.messages import count_tokens
from fleet.traffic.openai_error import ApiError, Refused
from fleet.traffic.repeats import LONGEST_TOKEN, Kept, Repeat, Repeats


class Surfaces:
    """Answers on every surface. `bodies` is what all its requests weigh now."""

    def __init__(self, *, current: Current, upstreams: Upstreams, relay: Relay, calls: LiveCalls) -> None:
        self._current = current
        self._upstreams = upstreams
        self._relay = relay
        self._calls = calls
        self._unread = Unread()
        self._repeats = Repeats()
        self.bodies = Bodies()

    async def answer(self, visit: Visit, spoken: Dialect) -> web.StreamResponse:
        """The answer to a request on the surface of a dialect. Raises Refused, ClientGone."""
        loaded = self._current.loaded
        request, limits = visit.request, loaded.config.limits
        held = request.content_length if request.content_length is not None else limits.body_bytes
        self.bodies.take(held, most_bytes=limits.bodies_bytes)
        try:
            content = await read_body(
                request, longest_bytes=limits.body_bytes, seconds=loaded.config.timeouts.body_seconds
            )
            self.bodies.give(held - len(content))
            held = len(content)
            call = call_of(
                parse_object(content),
                request.headers,
                dialect=spoken,
                loaded=loaded,
                upstreams=self._upstreams,
                holder=visit.key,
                named=visit.id,
                size_bytes=held,
            )
            visit.called = True
            token = request.headers.get("Idempotency-Key")
            if token:
                return await self._once(request, call, token, content)
            del content
            return await self._called(request, call)
        finally:
            self.bodies.give(held)

    async def _once(self, request: web.BaseRequest, call: Call, token: str, content: bytes) -> web.StreamResponse:
        """The answer to a request that may be a repetition of another (`Idempotency-Key`). Raises Refused."""
        if len(token) > LONGEST_TOKEN:
            message = f"an Idempotency-Key has at most {LONGEST_TOKEN} characters"
            raise Refused(ApiError(status=400, message=message, code="invalid_idempotency_key"))
        name = (call.key, token)
        digest = hashlib.sha256(f"{request.path}\n".encode() + content).digest()
        found = self._repeats.begin(name, digest, time.monotonic())
        if isinstance(found, Repeat):
            raise Refused(repeated(found))
        if found is not None:
            headers = CIMultiDict({**found.headers, "x-fleet-replayed": "true"})
            return web.Response(body=found.body, headers=headers)
        kept: Kept | None = None
        whole = False
        try:
            response = await self._called(request, call)
            whole = response.status == 200 and call.outcome == "ok"
            if whole and isinstance(response, web.Response) and isinstance(response.body, bytes):
                kept = Kept(response.body, dict(response.headers))
            return response
        finally:
            self._repeats.end(name, time.monotonic(), whole=whole, kept=kept)

    async def _called(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        live = self._calls.enter(call)
        try:
            if call.asked.stream:
                return await self._stream(request, live)
            answer = await self._relay.unary(live)
            self._unread.watch(request.transport, seconds=self._reader_seconds(live), size_bytes=len(answer))
            headers = CIMultiDict(call.answer_headers())
            headers["Content-Type"] = "application/json"
            return web.Response(body=answer, headers=headers)
        finally:
            self._calls.leave(live)

    async def _stream(self, request: web.BaseRequest, live: LiveCall) -> web.StreamResponse:
        sink = HttpSink(request)
        try:
            await self._relay.stream(live, sink)
            if sink.response is not None:
                self._unread.watch(request.transport, seconds=self._reader_seconds(live))
                await sink.response.write_eof()
        except (ClientGone, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        if sink.response is None:
            raise ClientGone
        return sink.response

    def _reader_seconds(self, live: LiveCall) -> float:
        return (live.call.route.timeouts or self._current.loaded.config.timeouts).reader_seconds

    async def count_tokens(self, visit: Visit) -> web.StreamResponse:
        """Anthropic's count, estimated by what the route's model was seen to make of bytes. Raises Refused."""
        loaded = self._current.loaded
        limits, timeouts = loaded.config.limits, loaded.config.timeouts
        content = await read_body(visit.request, longest_bytes=limits.body_bytes, seconds=timeouts.body_seconds)
        body = parse_object(content)
        model = body.get("model")
        route = loaded.route(model if isinstance(model, str) else None)
        if route is None:
            raise Refused(model_not_found(loaded, model))
        return json_answer({"input_tokens": count_tokens(body, self._upstreams.tokens_per_byte(route))})
