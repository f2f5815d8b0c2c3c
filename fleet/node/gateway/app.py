"""The HTTP front on aiohttp: doors, keys, answers. What happens between them is the relay's.

It is aiohttp's low-level server with a table of doors: routing and middlewares of a web.Application cost a tenth of
what a request may cost here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import aiohttp
import msgspec
from aiohttp import web
from multidict import CIMultiDict

import fleet
from fleet.node.gateway.agent_client import fetch_snapshot
from fleet.node.gateway.auth import INFERENCE, NODE, host_allowed, shown_key
from fleet.node.gateway.bodies import Bodies
from fleet.node.gateway.call import Call, LiveCall, LiveCalls
from fleet.node.gateway.catalogue import ModelFacts
from fleet.node.gateway.failures import ClientGone
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.node.gateway.models import STOPPING, model_entry, model_list, model_not_found, no_facts, reasons
from fleet.node.gateway.relay import Relay
from fleet.node.gateway.reload import Current
from fleet.node.gateway.request import call_of, given_id, new_id, parse_object, read_body
from fleet.node.gateway.unread import Unread
from fleet.node.gateway.upstreams import Upstreams
from fleet.traffic.choice import Readiness
from fleet.traffic.config import HashedKey
from fleet.traffic.dialects.dialect import Dialect
from fleet.traffic.dialects.registry import dialect
from fleet.traffic.openai_error import ApiError, Refused
from fleet.vocabulary.names import Intent

_STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
_MOST_HOSTS = 256
_LOG = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Visit:
    """One request at a door: who asks, under which id it is known, and whether it became a call."""

    request: web.BaseRequest
    id: str
    key: HashedKey | None = None
    called: bool = False


Answer = Callable[[Visit], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Door:
    """What answers at a path. `scope` None needs no key; `dialect` says how errors are told there."""

    answer: Answer
    scope: str | None
    dialect: Dialect
    method: str = "GET"

    @property
    def allow(self) -> str:
        """The methods that it takes."""
        return "GET, HEAD" if self.method == "GET" else self.method


class _HttpSink:
    """A streamed answer on aiohttp."""

    __slots__ = ("_request", "response")

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self.response: web.StreamResponse | None = None

    @property
    def begun(self) -> bool:
        return self.response is not None

    async def begin(self, headers: Mapping[str, str]) -> None:
        if self.response is not None:
            return
        response = web.StreamResponse(headers={**_STREAM_HEADERS, **headers})
        self.response = response
        try:
            await response.prepare(self._request)
        except ConnectionError:
            raise ClientGone from None

    async def write(self, data: bytes) -> None:
        if self.response is None:
            raise RuntimeError("the stream has not begun")
        try:
            await self.response.write(data)
        except ConnectionError:
            raise ClientGone from None


def _nobody_counts(status: int) -> None:
    """See Front."""


@dataclass(eq=False, kw_only=True)
class Front:
    """The doors, and the parts that they share. `draining` turns new work away.

    `turned_away` hears the status of what never became a call: no key, no such model, no JSON.
    """

    current: Current
    upstreams: Upstreams
    relay: Relay
    calls: LiveCalls
    session: aiohttp.ClientSession
    extra: Mapping[str, Door] = field(default_factory=dict)
    facts: Callable[[LiveUpstream], ModelFacts | None] = no_facts
    turned_away: Callable[[int], None] = _nobody_counts
    draining: bool = False

    def __post_init__(self) -> None:
        self._since = int(time.time())
        self._hosts: dict[str, bool] = {}
        self._hosts_of: object = None
        self._unread = Unread()
        self._bodies = Bodies()
        self._plain = dialect("chat")
        self._doors: dict[str, Door] = {
            "/v1/chat/completions": self._surface("chat"),
            "/v1/completions": self._surface("completions"),
            "/v1/responses": self._surface("responses"),
            "/v1/messages": self._surface("messages"),
            "/v1/messages/count_tokens": Door(self._count_tokens, INFERENCE, dialect("messages"), "POST"),
            "/v1/embeddings": self._surface("embeddings"),
            "/v1/models": Door(self._models, INFERENCE, self._plain),
            "/node/snapshot": Door(self._snapshot, NODE, self._plain),
            "/healthz": Door(self._healthz, None, self._plain),
            "/readyz": Door(self._readyz, None, self._plain),
            **self.extra,
        }
        self._model_door = Door(self._model, INFERENCE, self._plain)
        self._nowhere = Door(self._not_found, INFERENCE, self._plain)

    def open(self, doors: Mapping[str, Door]) -> None:
        """Answer at these paths as well."""
        self._doors.update(doors)

    def _surface(self, name: str) -> Door:
        spoken = dialect(name)

        async def answer(visit: Visit) -> web.StreamResponse:
            return await self._answer(visit, spoken)

        return Door(answer, INFERENCE, spoken, "POST")

    def _door(self, path: str) -> Door:
        door = self._doors.get(path)
        if door is not None:
            return door
        if path.startswith("/v1/models/"):
            return self._model_door
        return self._doors.get(path.rstrip("/"), self._nowhere)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request: Host, size, key, door; every error in the words of the surface."""
        visit = Visit(request, new_id())
        door = self._door(request.rel_url.raw_path)
        try:
            self._check(visit, door)
            return await door.answer(visit)
        except Refused as refused:
            error = refused.error
        except ClientGone:
            error = ApiError(status=400, message="the client is gone")
        except Exception:
            if request.writer.output_size:  # an answer has begun: the web server cuts it
                raise
            _LOG.exception("a bug answered a request with 500")
            error = ApiError(status=500, message="the gateway failed", type="upstream_error", code="internal_error")
        if not visit.called:
            self.turned_away(error.status)
        return web.Response(
            status=error.status,
            body=door.dialect.error(error, request_id=visit.id),
            content_type="application/json",
            headers={
                "x-fleet-request-id": visit.id,
                **error.headers,
                **({"WWW-Authenticate": "Bearer"} if error.status == 401 else {}),
                **({"Allow": door.allow} if error.status == 405 else {}),
            },
        )

    def _check(self, visit: Visit, door: Door) -> None:
        request, loaded = visit.request, self.current.loaded
        size = sum([len(name) + len(value) for name, value in request.raw_headers])
        if size > loaded.config.limits.header_bytes:
            raise Refused(ApiError(status=431, message="the headers are too long", code="headers_too_large"))
        host = request.headers.get("Host")
        if host is not None and not self._host_allowed(host):  # no browser leaves it out: only HTTP/1.0 does
            message = "this gateway does not answer under that Host name; add it to its allowed hosts"
            raise Refused(ApiError(status=421, message=message, code="wrong_host"))
        if door.scope is not None:
            visit.key = key = loaded.find_key(shown_key(request.headers))
            if key is None:
                message = "missing or unknown key: send `Authorization: Bearer KEY` or `x-api-key: KEY`"
                raise Refused(ApiError(status=401, message=message, code="invalid_api_key"))
            if door.scope not in key.scopes:
                message = f"the key {key.name!r} is not for this: it lacks the scope {door.scope!r}"
                raise Refused(ApiError(status=403, message=message, type="permission_error", code="insufficient_scope"))
            if NODE in key.scopes:  # another gateway: a client could give two requests one id, or somebody else's
                visit.id = given_id(request.headers) or visit.id
        if request.method != door.method and not (request.method == "HEAD" and door.method == "GET"):
            if door is self._nowhere:
                return
            message = f"{request.method} {request.path}: method not allowed; this door takes {door.method}"
            raise Refused(ApiError(status=405, message=message, code="method_not_allowed"))

    def _host_allowed(self, host: str) -> bool:
        config = self.current.loaded.config
        if self._hosts_of is not config or len(self._hosts) > _MOST_HOSTS:
            self._hosts, self._hosts_of = {}, config
        allowed = self._hosts.get(host)
        if allowed is None:
            allowed = self._hosts[host] = host_allowed(config, host)
        return allowed

    async def _answer(self, visit: Visit, spoken: Dialect) -> web.StreamResponse:
        loaded = self.current.loaded
        if self.draining:
            raise Refused(draining())
        request, limits = visit.request, loaded.config.limits
        held = request.content_length if request.content_length is not None else limits.body_bytes
        self._bodies.take(held, most_bytes=limits.bodies_bytes)
        try:
            content = await read_body(
                request, longest_bytes=limits.body_bytes, seconds=loaded.config.timeouts.body_seconds
            )
            self._bodies.give(held - len(content))
            held = len(content)
            call = call_of(
                parse_object(content),
                request.headers,
                dialect=spoken,
                loaded=loaded,
                upstreams=self.upstreams,
                key=visit.key.name if visit.key is not None else "",
                named=visit.id,
                size_bytes=held,
            )
            del content
            visit.called = True
            return await self._called(request, call)
        finally:
            self._bodies.give(held)

    async def _called(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        live = self.calls.enter(call)
        try:
            if call.asked.stream:
                return await self._stream(request, live)
            answer = await self.relay.unary(live)
            self._unread.watch(request.transport, seconds=self._reader_seconds(live), size_bytes=len(answer))
            headers = CIMultiDict(call.answer_headers())
            headers["Content-Type"] = "application/json"
            return web.Response(body=answer, headers=headers)
        finally:
            self.calls.leave(live)

    async def _stream(self, request: web.BaseRequest, live: LiveCall) -> web.StreamResponse:
        sink = _HttpSink(request)
        try:
            await self.relay.stream(live, sink)
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
        return (live.call.route.timeouts or self.current.loaded.config.timeouts).reader_seconds

    async def _count_tokens(self, visit: Visit) -> web.StreamResponse:
        from fleet.traffic.dialects.messages import count_tokens

        loaded = self.current.loaded
        limits, timeouts = loaded.config.limits, loaded.config.timeouts
        content = await read_body(visit.request, longest_bytes=limits.body_bytes, seconds=timeouts.body_seconds)
        body = parse_object(content)
        model = body.get("model")
        route = loaded.route(model if isinstance(model, str) else None)
        if route is None:
            raise Refused(model_not_found(loaded, model))
        return json_answer({"input_tokens": count_tokens(body, self.upstreams.tokens_per_byte(route))})

    async def _models(self, visit: Visit) -> web.StreamResponse:  # noqa: ARG002 (a door's signature)
        return json_answer(
            model_list(
                self.current.loaded,
                self.upstreams.live,
                facts=self.facts,
                since=self._since,
                stopping=self.draining,
            )
        )

    async def _model(self, visit: Visit) -> web.StreamResponse:
        named = unquote(visit.request.rel_url.raw_path.removeprefix("/v1/models/"))
        route = self.current.loaded.routes.get(named)
        if route is None:
            raise Refused(model_not_found(self.current.loaded, named))
        live, since = self.upstreams.live, self._since
        return json_answer(model_entry(route, live, facts=self.facts, since=since, stopping=self.draining))

    async def _snapshot(self, visit: Visit) -> web.StreamResponse:  # noqa: ARG002 (a door's signature)
        body = await fetch_snapshot(self.session, self.current.loaded.config)
        return web.Response(body=body, content_type="application/json")

    async def _not_found(self, visit: Visit) -> web.StreamResponse:
        request = visit.request
        message = f"{request.method} {request.path}: not found"
        raise Refused(ApiError(status=404, message=message, code="not_found"))

    async def _healthz(self, visit: Visit) -> web.StreamResponse:  # noqa: ARG002 (a door's signature)
        """Alive; and which configuration is in force."""
        loaded = self.current.loaded
        return json_answer(
            {
                "status": "ok",
                "node": loaded.config.node,
                "role": loaded.config.role.value,
                "version": fleet.__version__,
                "config_sha256": loaded.sha256,
                "config_problem": self.current.problem,
                "uptime_seconds": int(time.time()) - self._since,
                "in_flight": len(self.calls),
                "draining": self.draining,
            }
        )

    async def _readyz(self, visit: Visit) -> web.StreamResponse:
        """200 when a request would be answered now: an upstream has proven itself and takes work.

        With `?drained=ok` also when it would be, were the node resumed: a deploy must not undo what a drain did.
        """
        drained_is_ok = visit.request.query.get("drained") == "ok"
        live = list(self.upstreams.live.values())
        proven = any(
            one.readiness is Readiness.READY and (drained_is_ok or one.intent is Intent.SERVING) for one in live
        )
        ready = proven and not self.draining
        why = [] if ready else ["draining"] if self.draining else [reasons(live)]
        notes = [self.current.problem] if self.current.problem else []
        return json_answer({"ready": ready, "reasons": why, "notes": notes}, status=200 if ready else 503)


def draining() -> ApiError:
    """The gateway takes no new work."""
    return ApiError(
        status=503,
        message=STOPPING,
        type="upstream_error",
        code="draining",
        retry_after_seconds=5,
    )


def json_answer(data: Any, *, status: int = 200) -> web.Response:
    """An answer of JSON."""
    return web.Response(status=status, body=msgspec.json.encode(data), content_type="application/json")
