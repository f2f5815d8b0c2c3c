"""The HTTP front on aiohttp: doors, keys, answers. What happens between them is the relay's."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

import fleet
from fleet.node.gateway.agent_client import fetch_snapshot
from fleet.node.gateway.auth import INFERENCE, NODE, find_key, host_allowed, shown_key
from fleet.node.gateway.call import LiveCall, LiveCalls
from fleet.node.gateway.failures import ClientGone
from fleet.node.gateway.models import model_entry, model_list, model_not_found, reasons
from fleet.node.gateway.relay import Relay
from fleet.node.gateway.reload import Current
from fleet.node.gateway.request import chat_call, parse_object, read_body, request_id
from fleet.node.gateway.upstreams import Upstreams
from fleet.traffic.choice import Readiness
from fleet.traffic.openai_error import ApiError, Refused
from fleet.vocabulary.names import Intent

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_OPEN_DOORS = ("/healthz", "/readyz")
_KEY_NAME = web.RequestKey("fleet.key", str)
_REQUEST_ID = web.RequestKey("fleet.request_id", str)
_STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


class _HttpSink:
    """A streamed answer on aiohttp."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response: web.StreamResponse | None = None

    @property
    def begun(self) -> bool:
        return self.response is not None

    async def begin(self, headers: Mapping[str, str]) -> None:
        if self.response is not None:
            return
        self.response = web.StreamResponse(headers={**_STREAM_HEADERS, **headers})
        try:
            await self.response.prepare(self._request)
        except ConnectionError:
            raise ClientGone from None

    async def write(self, data: bytes) -> None:
        if self.response is None:
            raise RuntimeError("the stream has not begun")
        try:
            await self.response.write(data)
        except ConnectionError:
            raise ClientGone from None


class Front:
    """The handlers, and the parts that they share. `draining` turns new work away."""

    def __init__(
        self, *, current: Current, upstreams: Upstreams, relay: Relay, calls: LiveCalls, session: aiohttp.ClientSession
    ) -> None:
        self._current = current
        self._upstreams = upstreams
        self._relay = relay
        self._calls = calls
        self._session = session
        self._since = int(time.time())
        self.draining = False

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{id:.+}", self._model)
        app.router.add_get("/node/snapshot", self._snapshot)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Host, header size and key before anything else; every error in OpenAI's shape."""
        named = request[_REQUEST_ID] = request_id(request)
        try:
            self._check(request)
            return await handler(request)
        except Refused as refused:
            error = refused.error
        except ClientGone:
            error = ApiError(status=400, message="the client is gone")
        except web.HTTPException as answer:
            if answer.status < 400:
                raise
            error = ApiError(status=answer.status, message=f"{request.method} {request.path}: {answer.reason}".lower())
        return web.Response(
            status=error.status,
            body=error.json,
            content_type="application/json",
            headers={
                "x-fleet-request-id": named,
                **error.headers,
                **({"WWW-Authenticate": "Bearer"} if error.status == 401 else {}),
            },
        )

    def _check(self, request: web.Request) -> None:
        loaded = self._current.loaded
        size = sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
        if size > loaded.config.limits.header_bytes:
            raise Refused(ApiError(status=431, message="the headers are too long", code="headers_too_large"))
        if not host_allowed(loaded.config, request.host):
            message = "this gateway does not answer under that Host name; add it to its allowed hosts"
            raise Refused(ApiError(status=421, message=message, code="wrong_host"))
        if request.path in _OPEN_DOORS:
            return
        key = find_key(loaded.keys, shown_key(request.headers))
        if key is None:
            message = "missing or unknown key: send `Authorization: Bearer KEY` or `x-api-key: KEY`"
            raise Refused(ApiError(status=401, message=message, code="invalid_api_key"))
        scope = NODE if request.path.startswith("/node/") else INFERENCE
        if scope not in key.scopes:
            message = f"the key {key.name!r} is not for this: it lacks the scope {scope!r}"
            raise Refused(ApiError(status=403, message=message, code="insufficient_scope"))
        request[_KEY_NAME] = key.name

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        loaded = self._current.loaded
        if self.draining:
            raise Refused(draining())
        config = loaded.config
        body = await read_body(request, longest_bytes=config.limits.body_bytes, seconds=config.timeouts.body_seconds)
        call = chat_call(parse_object(body), loaded, key=request[_KEY_NAME], named=request[_REQUEST_ID])
        with self._calls.enter(call) as live:
            if call.stream:
                return await self._chat_stream(request, live)
            answer = await self._relay.unary(live)
            return web.Response(body=answer, content_type="application/json", headers=call.headers())

    async def _chat_stream(self, request: web.Request, live: LiveCall) -> web.StreamResponse:
        sink = _HttpSink(request)
        try:
            await self._relay.stream(live, sink)
            if sink.response is not None:
                await sink.response.write_eof()
        except (ClientGone, ConnectionError):
            pass
        if sink.response is None:
            raise ClientGone
        return sink.response

    async def _models(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp's signature)
        return _json(model_list(self._current.loaded, self._upstreams.live, since=self._since))

    async def _model(self, request: web.Request) -> web.Response:
        route = self._current.loaded.routes.get(request.match_info["id"])
        if route is None:
            raise Refused(model_not_found(self._current.loaded, request.match_info["id"]))
        return _json(model_entry(route, self._upstreams.live, since=self._since))

    async def _snapshot(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp's signature)
        body = await fetch_snapshot(self._session, self._current.loaded.config)
        return web.Response(body=body, content_type="application/json")

    async def _healthz(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp's signature)
        """Alive; and which configuration is in force."""
        loaded = self._current.loaded
        return _json(
            {
                "status": "ok",
                "node": loaded.config.node,
                "role": loaded.config.role.value,
                "version": fleet.__version__,
                "config_sha256": loaded.sha256,
                "config_problem": self._current.problem,
                "uptime_seconds": int(time.time()) - self._since,
                "in_flight": len(self._calls),
                "draining": self.draining,
            }
        )

    async def _readyz(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp's signature)
        """200 when a request would be answered now: an upstream has proven itself and takes work."""
        live = list(self._upstreams.live.values())
        proven = any(one.readiness is Readiness.READY and one.intent is Intent.SERVING for one in live)
        ready = proven and not self.draining
        why = [] if ready else ["draining"] if self.draining else [reasons(live)]
        notes = [self._current.problem] if self._current.problem else []
        return _json({"ready": ready, "reasons": why, "notes": notes}, status=200 if ready else 503)


def draining() -> ApiError:
    """The gateway takes no new work."""
    return ApiError(
        status=503,
        message="this gateway is about to stop",
        type="upstream_error",
        code="draining",
        retry_after_seconds=5,
    )


def _json(data: Any, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(data), content_type="application/json")
