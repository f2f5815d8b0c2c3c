"""The admin door (contracts/gateway_admin.py): a small application for a listener on loopback.

It answers under a loopback name only (a page under a rebound DNS name is not one of ours), to keys with the scope
`admin`, and has no CORS. What it can do is see, explain, end a request, and drain this node's own sidecars. The node's
agent, and a deploy that works on the node, have a key with the scope `care`: the pace, the intent of sidecars, and the
gateway's own door, nothing else.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

import msgspec
from aiohttp import web

from fleet.node.gateway.admin_pace import pace_report
from fleet.node.gateway.auth import ADMIN, CARE, shown_key
from fleet.node.gateway.call import LiveCalls
from fleet.node.gateway.intent import NoSuchSidecar
from fleet.node.gateway.intents import Intents
from fleet.node.gateway.journal import Journal
from fleet.node.gateway.ps import killed, live_request, live_requests
from fleet.node.gateway.reload import Current
from fleet.node.gateway.upstreams import Upstreams
from fleet.traffic.keyring import HashedKey
from fleet.traffic.openai_error import ApiError, Refused
from fleet.vocabulary.contracts.gateway_admin import (
    AGENT,
    DEPLOY,
    DoorReport,
    DoorRequest,
    ExplainRequest,
    Explanation,
    IntentRequest,
    KillRequest,
    LiveRequest,
    LiveRequests,
    NodeIntent,
    NodeWords,
    RouteReport,
    RouteReports,
)
from fleet.vocabulary.names import GatewayRole, Intent

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")
_HOST = re.compile(r"(?i:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?")
_SMALL_BYTES = 64 * 1024
_PROMPT_BYTES = 8 * 1024 * 1024
_BODY_SECONDS = 30.0
_KEY = web.RequestKey("fleet.admin_key", HashedKey)
_CARE = frozenset(
    (
        ("GET", "/admin/pace"),
        *((method, path) for method in ("GET", "POST") for path in ("/admin/intent", "/admin/door")),
        ("POST", "/admin/usage"),  # the report of a week, which a front makes of itself: sums, and nothing changes
        *(("GET", path) for path in ("/admin/budget", "/admin/gray", "/admin/incidents")),
    )
)


class Door(Protocol):
    """The gateway's own door. `draining` turns new requests away."""

    draining: bool


class AdminDoor:
    """The handlers. `routes`, `explain` and `nodes` are asked anew each time; `explain` may raise Refused.

    `nodes` is what a front hears of all nodes. `door` takes new requests or turns them away. `more` open doors of their
    own, behind the same check of host and key.
    """

    def __init__(
        self,
        *,
        current: Current,
        upstreams: Upstreams,
        calls: LiveCalls,
        intents: Intents,
        journal: Journal,
        routes: Callable[[], tuple[RouteReport, ...]],
        explain: Callable[[ExplainRequest], Explanation],
        door: Door | None = None,
        nodes: Callable[[], NodeWords] | None = None,
        more: Sequence[Callable[[web.Application], None]] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._current = current
        self._upstreams = upstreams
        self._calls = calls
        self._intents = intents
        self._journal = journal
        self._reports = routes
        self._explanation = explain
        self._door = door
        self._reopens: asyncio.TimerHandle | None = None
        self._words = nodes
        self._more = more
        self._now = now

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[self._guard], client_max_size=_PROMPT_BYTES)
        app.router.add_get("/admin/requests", self._requests)
        app.router.add_post("/admin/requests/{id}/kill", self._kill)
        app.router.add_get("/admin/routes", self._routes)
        app.router.add_post("/admin/explain", self._explain)
        app.router.add_get("/admin/intent", self._intent)
        app.router.add_post("/admin/intent", self._want)
        app.router.add_get("/admin/door", self._stand)
        app.router.add_post("/admin/door", self._open_or_close)
        app.router.add_get("/admin/pace", self._pace)
        app.router.add_get("/admin/nodes", self._nodes)
        for open_doors in self._more:
            open_doors(app)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Host and key before anything else; every error in our shape."""
        try:
            self._check(request)
            return await handler(request)
        except Refused as refused:
            error = refused.error
        except web.HTTPException as answer:
            if answer.status < 400:
                raise
            error = ApiError(status=answer.status, message=f"{request.method} {request.path}: {answer.reason}".lower())
        headers = {**error.headers, **({"WWW-Authenticate": "Bearer"} if error.status == 401 else {})}
        return web.Response(status=error.status, body=error.json, content_type="application/json", headers=headers)

    def _check(self, request: web.Request) -> None:
        if not _HOST.fullmatch(request.headers.get("Host", "")):
            raise _refused(421, "the admin door answers under localhost, 127.0.0.1 and [::1] only", code="wrong_host")
        if "Origin" in request.headers:
            raise _refused(403, "the admin door is not for pages of a browser", code="no_pages")
        key = self._current.loaded.find_key(shown_key(request.headers))
        if key is None:
            raise _refused(401, "missing or unknown key: send `Authorization: Bearer KEY`", code="invalid_api_key")
        cares = CARE in key.scopes and (request.method, request.path) in _CARE
        if ADMIN not in key.scopes and not cares:
            message = f"the key {key.name!r} is not for this: it lacks the scope 'admin'"
            raise _refused(403, message, code="insufficient_scope")
        request[_KEY] = key

    async def _requests(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp's signature)
        requests = live_requests((live.call for live in self._calls), now=self._now())
        return _json(LiveRequests(node=self._node, requests=requests))

    async def _kill(self, request: web.Request) -> web.Response:
        asked = await _read(request, KillRequest, empty=KillRequest())
        named = request.match_info["id"]
        live = self._calls.find(named)
        if live is None:
            message = f"no request {named!r} is in flight here: it may have ended; `fleet ps` lists those that are"
            raise _refused(404, message, code="request_not_found")
        said: LiveRequest = live_request(live.call, now=self._now())
        self._calls.end(live, killed(asked.reason))
        self._journal.event("killed", id=said.id, key=said.key, by=request[_KEY].name, reason=asked.reason or None)
        return _json(said)

    async def _routes(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp's signature)
        loaded = self._current.loaded
        self._intents.follow()
        return _json(RouteReports(node=self._node, config_sha256=loaded.sha256, routes=self._reports()))

    async def _nodes(self, request: web.Request) -> web.Response:
        if self._words is None or self._current.loaded.config.role is not GatewayRole.FRONT:
            raise _refused(404, f"{self._node} is no front: only fronts know the other nodes", code="not_a_front")
        words = self._words()
        return _json(words.brief() if request.query.get("brief") == "1" else words)

    async def _explain(self, request: web.Request) -> web.Response:
        asked = await _read(request, ExplainRequest, longest_bytes=_PROMPT_BYTES)
        self._intents.follow()
        return _json(self._explanation(asked))

    async def _intent(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp's signature)
        return _json(NodeIntent(node=self._node, sidecars=self._intents.report()))

    async def _want(self, request: web.Request) -> web.Response:
        asked = _by_whom(await _read(request, IntentRequest), request[_KEY])
        try:
            self._intents.want(asked)
        except NoSuchSidecar as error:
            raise _refused(404, str(error), code="sidecar_not_found") from None
        except OSError as error:
            message = f"the intent could not be kept ({error.strerror or error}), so nothing changed"
            raise _refused(500, message, code="state_not_saved") from error
        sidecar = asked.sidecar or "all"
        self._journal.event("intent", wanted=asked.intent.value, sidecar=sidecar, by=asked.by or request[_KEY].name)
        return _json(NodeIntent(node=self._node, sidecars=self._intents.report()))

    async def _stand(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp's signature)
        return _json(self._at_the_door(self._own_door()))

    async def _open_or_close(self, request: web.Request) -> web.Response:
        asked = await _read(request, DoorRequest)
        door = self._own_door()
        closed = asked.intent is not Intent.SERVING
        if self._reopens is not None:
            self._reopens.cancel()
            self._reopens = None
        self._turn(door, closed=closed, by=asked.by or request[_KEY].name)
        if closed and asked.seconds is not None:
            again = partial(self._turn, door, closed=False, by="nobody asked for longer")
            self._reopens = asyncio.get_running_loop().call_later(asked.seconds, again)
        return _json(self._at_the_door(door))

    def _turn(self, door: Door, *, closed: bool, by: str) -> None:
        if door.draining is not closed:
            door.draining = closed
            self._journal.event("door", wanted=(Intent.DRAINING if closed else Intent.SERVING).value, by=by)

    def _own_door(self) -> Door:
        if self._door is None:
            raise _refused(404, "this gateway's own door cannot be closed", code="not_found")
        return self._door

    def _at_the_door(self, door: Door) -> DoorReport:
        count = len(self._calls)
        closed = Intent.DRAINING if count else Intent.DRAINED
        return DoorReport(node=self._node, intent=closed if door.draining else Intent.SERVING, in_flight=count)

    async def _pace(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp's signature)
        for one in self._calls:
            one.tell()
        live, calls = self._upstreams.live.values(), (one.call for one in self._calls)
        return _json(pace_report(self._node, live, calls, now=self._now()))

    @property
    def _node(self) -> str:
        return self._current.loaded.config.node


def _by_whom(asked: IntentRequest, key: HashedKey) -> IntentRequest:
    """A key without the scope `admin` speaks as the agent or as a deploy: it never undoes what an operator did."""
    if ADMIN in key.scopes or asked.by.startswith((AGENT, DEPLOY)):
        return asked
    return msgspec.structs.replace(asked, by=f"{AGENT} {asked.by}".rstrip())


async def _read(request: web.Request, kind: type[T], *, empty: T | None = None, longest_bytes: int = _SMALL_BYTES) -> T:
    """The body as `kind`; `empty` stands for no body. Raises Refused."""
    if (request.content_length or 0) > longest_bytes:
        raise _too_long(longest_bytes)
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_long(longest_bytes) from None
    except TimeoutError:
        raise _refused(408, "the request did not arrive in time", code="timeout") from None
    if len(body) > longest_bytes:
        raise _too_long(longest_bytes)
    if not body and empty is not None:
        return empty
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(400, f"the request cannot be read: {error}", code="invalid_request") from None


def _too_long(longest_bytes: int) -> Refused:
    return _refused(413, f"the request is longer than {longest_bytes} bytes", code="request_too_large")


def _refused(status: int, message: str, *, code: str) -> Refused:
    return Refused(ApiError(status=status, message=message, code=code))


def _json(data: object) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(data), content_type="application/json", headers={"Cache-Control": "no-store"}
    )
