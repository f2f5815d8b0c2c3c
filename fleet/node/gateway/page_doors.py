"""Looking at a gateway from outside: its metrics, its status page, and what the page shows."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping

import aiohttp
import msgspec
from aiohttp import web

import fleet
from fleet.node.gateway.agent_client import fetch_metrics
from fleet.node.gateway.auth import ADMIN, INFERENCE, NODE
from fleet.node.gateway.call import LiveCalls
from fleet.node.gateway.doors import Answer, Door, Visit
from fleet.node.gateway.intents import Intents
from fleet.node.gateway.metrics import Metrics
from fleet.node.gateway.metrics_merge import merged
from fleet.node.gateway.metrics_process import read_process
from fleet.node.gateway.metrics_text import render
from fleet.node.gateway.metrics_view import GatewayView, look
from fleet.node.gateway.page import load_page
from fleet.node.gateway.page_status import status_of
from fleet.node.gateway.ps import live_requests
from fleet.node.gateway.reload import Current
from fleet.node.gateway.upstreams import Upstreams
from fleet.traffic.dialects.registry import dialect
from fleet.traffic.openai_error import Refused
from fleet.vocabulary.exposition import CONTENT_TYPE


def _nothing_more() -> bytes:
    """See PageDoors."""
    return b""


class PageDoors:
    """`/`, `/v1/status`, `/metrics` (the gateway's) and `/node/metrics` (with its agent's) for a Front.

    `session` reaches the agent. `draining` and `retries_refused` are asked each time, and so is `more`: families of
    metrics that others have.
    """

    def __init__(
        self,
        *,
        current: Current,
        session: aiohttp.ClientSession,
        upstreams: Upstreams,
        calls: LiveCalls,
        metrics: Metrics,
        intents: Intents,
        draining: Callable[[], bool],
        retries_refused: Callable[[], int],
        more: Callable[[], bytes] = _nothing_more,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._current = current
        self._session = session
        self._upstreams = upstreams
        self._calls = calls
        self._metrics = metrics
        self._intents = intents
        self._draining = draining
        self._retries_refused = retries_refused
        self._more = more
        self._now = now
        self._page = load_page()

    def doors(self) -> Mapping[str, Door]:
        """What to add to a Front. The page is open: there is nothing in it."""
        return {
            "/": _door(self._shell, None),
            "/v1/status": _door(self._status, INFERENCE),
            "/metrics": _door(self._exposition, NODE),
            "/node/metrics": _door(self._of_the_node, NODE),
        }

    def view(self) -> GatewayView:
        """The gateway as it stands now."""
        self._intents.follow()
        now = self._now()
        return look(
            self._current.loaded,
            self._upstreams.live,
            (live.call for live in self._calls),
            now=now,
            version=fleet.__version__,
            uptime_seconds=now - self._metrics.started,
            draining=self._draining(),
            config_problem=self._current.problem,
            retries_refused=self._retries_refused(),
        )

    async def _shell(self, visit: Visit) -> web.Response:  # noqa: ARG002 (a door's signature)
        return web.Response(body=self._page.body, headers=self._page.headers)

    async def _status(self, visit: Visit) -> web.Response:
        now = self._now()
        admin = visit.key is not None and ADMIN in visit.key.scopes
        status = status_of(
            self.view(),
            minute=self._metrics.recent.minute(now),
            hour=self._metrics.recent.hour(now),
            requests=live_requests((live.call for live in self._calls), now=now) if admin else None,
        )
        headers = {"Cache-Control": "no-store", "Content-Type": "application/json"}
        return web.Response(body=msgspec.json.encode(status), headers=headers)

    async def _exposition(self, visit: Visit) -> web.Response:  # noqa: ARG002 (a door's signature)
        return web.Response(body=self._own(), headers={"Content-Type": CONTENT_TYPE})

    async def _of_the_node(self, visit: Visit) -> web.Response:  # noqa: ARG002 (a door's signature)
        """The agent's metrics too, where there is one. A silent one costs its own part only."""
        config = self._current.loaded.config
        agent: bytes | None = None
        if config.agent_port is not None:
            with contextlib.suppress(Refused):
                agent = await fetch_metrics(self._session, config)
        page = self._own() if config.agent_port is None else merged(self._own(), agent)
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})

    def _own(self) -> bytes:
        return render(self._metrics, self.view(), read_process()) + self._more()


def _door(answer: Answer, scope: str | None) -> Door:
    return Door(answer, scope, dialect("chat"))
