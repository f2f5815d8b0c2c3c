"""The HTTP front on aiohttp: doors, keys, answers. What happens between them is the relay's.

It is aiohttp's low-level server with a table of doors: routing and middlewares of a web.Application cost a tenth of
what a request may cost here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

import aiohttp
from aiohttp import web

import fleet
from fleet.node.gateway.agent_client import fetch_snapshot
from fleet.node.gateway.auth import INFERENCE, NODE
from fleet.node.gateway.call import LiveCalls
from fleet.node.gateway.catalogue import ModelFacts
from fleet.node.gateway.doors import Door, Visit, json_answer
from fleet.node.gateway.failures import ClientGone
from fleet.node.gateway.gatekeeper import Gatekeeper
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.node.gateway.models import model_entry, model_list, model_not_found, no_facts, reasons
from fleet.node.gateway.own_snapshot import OwnSnapshot, with_planned
from fleet.node.gateway.relay import Relay
from fleet.node.gateway.reload import Current
from fleet.node.gateway.request import new_id
from fleet.node.gateway.surfaces import Surfaces
from fleet.node.gateway.turned_away import stopping
from fleet.node.gateway.upstreams import Upstreams
from fleet.traffic.choice import Readiness
from fleet.traffic.dialects.registry import dialect
from fleet.traffic.openai_error import ApiError, Refused
from fleet.vocabulary.names import Intent

_LOG = logging.getLogger(__name__)


def _nobody_counts(status: int) -> None:
    """See Front."""


@dataclass(eq=False, kw_only=True)
class Front:
    """The doors, and the parts that they share. `draining` turns new work away.

    `planned` names the services that a deploy stops and starts just now. `turned_away` hears the status of what never
    became a call: no key, no such model, no JSON.
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
    planned: Callable[[], tuple[str, ...]] = tuple

    def __post_init__(self) -> None:
        self._since = int(time.time())
        self._gatekeeper = Gatekeeper(self.current)
        self._own_snapshot = OwnSnapshot(lambda: fetch_snapshot(self.session, self.current.loaded.config))
        self.surfaces = Surfaces(current=self.current, upstreams=self.upstreams, relay=self.relay, calls=self.calls)
        self._plain = dialect("chat")
        self._doors: dict[str, Door] = {
            "/v1/chat/completions": self._surface("chat"),
            "/v1/completions": self._surface("completions"),
            "/v1/responses": self._surface("responses"),
            "/v1/messages": self._surface("messages"),
            "/v1/messages/count_tokens": Door(self.surfaces.count_tokens, INFERENCE, dialect("messages"), "POST"),
            "/v1/embeddings": self._surface("embeddings"),
            "/v1/models": Door(self._models, INFERENCE, self._plain),
            "/node/snapshot": Door(self._snapshot, NODE, self._plain),
            "/healthz": Door(self._healthz, None, self._plain),
            "/readyz": Door(self._readyz, None, self._plain),
            **self.extra,
        }
        self._model_door = Door(self._model, INFERENCE, self._plain)
        self._nowhere = Door(self._not_found, INFERENCE, self._plain, method="")

    def open(self, doors: Mapping[str, Door]) -> None:
        """Answer at these paths as well."""
        self._doors.update(doors)

    def _surface(self, name: str) -> Door:
        spoken = dialect(name)

        async def answer(visit: Visit) -> web.StreamResponse:
            if self.draining:
                raise Refused(stopping())
            return await self.surfaces.answer(visit, spoken)

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
            self._gatekeeper.check(visit, door)
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
        body = with_planned(await self._own_snapshot.get(), self.planned())
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
