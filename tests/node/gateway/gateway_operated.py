"""A gateway with everything that an operator may look at and touch, on loopback, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from gateway_harness import RING, Books, Running, hashed, write_config

from fleet.node.gateway.admin import AdminDoor
from fleet.node.gateway.admin_explain import Explainer
from fleet.node.gateway.admin_reports import route_reports
from fleet.node.gateway.app import Front
from fleet.node.gateway.call import AdmitAll, AllBooks
from fleet.node.gateway.gateway import Gateway, new_session
from fleet.node.gateway.intent_store import IntentStore
from fleet.node.gateway.intents import Intents
from fleet.node.gateway.journal import Journal
from fleet.node.gateway.metrics import Metrics
from fleet.node.gateway.page_doors import PageDoors
from fleet.node.gateway.reload import Current
from fleet.traffic.config import Upstream
from fleet.traffic.keyring import KeyRing

BOSS = "sk-boss-0123456789"
AGENT_KEY = "agent-0123456789"
_QUICK: Any = {"access_log": None, "lingering_time": 0.1}


@dataclass
class Lines:
    """An Out that remembers."""

    lines: list[str] = field(default_factory=list)

    def write(self, lines: Sequence[str]) -> None:
        self.lines += lines

    @property
    def text(self) -> str:
        return "".join(self.lines)


@dataclass(eq=False)
class Operated(Running):
    """A running gateway with its admin door at `admin`."""

    admin: str
    metrics: Metrics
    intents: Intents
    said: Lines
    journal: Journal

    async def ask(
        self, path: str, body: Any = None, *, key: str | None = BOSS, method: str = "", **headers: str
    ) -> tuple[int, Any]:
        """GET, or POST with a body, at the admin door."""
        shown = {"Authorization": f"Bearer {key}"} if key else {}
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        asked = self.http.request(
            method or ("GET" if body is None else "POST"), self.admin + path, data=data, headers={**shown, **headers}
        )
        async with asked as answer:
            return answer.status, msgspec.json.decode(await answer.read())

    async def families(self) -> Mapping[str, str]:
        """The lines of /metrics by what stands before the value."""
        self.journal.flush()
        answer = await self.get("/metrics", key=BOSS)
        assert answer.status == 200, await answer.text()
        lines = (line for line in (await answer.text()).splitlines() if not line.startswith("#"))
        return dict(line.rpartition(" ")[::2] for line in lines)


@asynccontextmanager
async def operated(folder: Path, *upstreams: Upstream, **changes: Any) -> AsyncIterator[Operated]:
    """Runs one until the context is left. Its state is kept in `folder`."""
    config_file = write_config(folder, *upstreams, **{"state_dir": str(folder / "state"), **changes})
    boss, agent = hashed("boss", BOSS, "inference", "node", "admin"), hashed("agent", AGENT_KEY, "care")
    ring = KeyRing(keys=(*RING.keys, boss, agent))
    (folder / "keys.json").write_bytes(msgspec.json.encode(ring))
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        session = await stack.enter_async_context(new_session())
        current, books, metrics, said = Current(config_file), Books(), Metrics(), Lines()
        journal = Journal(stderr=said)
        stack.callback(journal.close)
        gateway = Gateway(current, session, admission=AdmitAll(), accounting=AllBooks((books, metrics, journal)))
        stack.push_async_callback(gateway.close)
        store = IntentStore(current.loaded.config.state_dir)
        intents = Intents(store, gateway.upstreams)
        front = gateway.front
        doors = PageDoors(
            current=current,
            session=session,
            upstreams=gateway.upstreams,
            calls=gateway.calls,
            metrics=metrics,
            intents=intents,
            draining=lambda: front.draining,
            retries_refused=lambda: gateway.attempts.retries_refused,
        )
        with_page = Front(
            current=current,
            upstreams=gateway.upstreams,
            relay=front.relay,
            calls=gateway.calls,
            session=session,
            extra=doors.doors(),
        )
        server = web.ServerRunner(
            web.Server(with_page.handle, handler_cancellation=True, **_QUICK), shutdown_timeout=0.1
        )
        url = await _listen(stack, server)

        door = AdminDoor(
            current=current,
            upstreams=gateway.upstreams,
            calls=gateway.calls,
            intents=intents,
            journal=journal,
            routes=lambda: route_reports(
                current.loaded.routes.values(), gateway.upstreams.live, now=asyncio.get_running_loop().time()
            ),
            explain=Explainer(lambda: current.loaded, gateway.upstreams).explain,
            door=with_page,
        )
        admin = await _listen(stack, web.AppRunner(door.application(), shutdown_timeout=0.1, **_QUICK))
        gateway.follow()
        intents.follow()
        loaded = current.loaded
        metrics.follow([*loaded.routes, *(one.name for one in loaded.config.upstreams)])
        yield Operated(
            gateway=gateway,
            current=current,
            config_file=config_file,
            url=url,
            http=http,
            books=books,
            admin=admin,
            metrics=metrics,
            intents=intents,
            said=said,
            journal=journal,
        )


async def _listen(stack: AsyncExitStack, runner: web.BaseRunner[Any]) -> str:
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"
