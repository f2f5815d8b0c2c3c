"""A front that runs in this process on the clock of the test, and a node beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from gateway_harness import Books, until
from gateway_operated import Lines

from fleet.node.gateway.call import AdmitAll
from fleet.node.gateway.frontwatch.watch import FrontWatch
from fleet.node.gateway.gateway import Gateway, new_session
from fleet.node.gateway.journal import Journal
from fleet.node.gateway.reload import Current
from fleet.node.gateway.tls import server_context
from fleet.traffic.config import Wellness
from fleet.vocabulary.contracts.snapshot import Memory, Snapshot
from fleet.vocabulary.eventfiles import EventFiles

QUICK = Wellness(every_seconds=0.05)


@dataclass
class Clock:
    """The wall clock of a front."""

    seconds: float = 1_763_800_000.0

    def now(self) -> float:
        """Unix time, and the monotonic clock as well."""
        return self.seconds


@dataclass
class Mini:
    """A node's edge that gives a snapshot, and a receiver of notices and pings."""

    clock: Clock
    url: str = ""
    pressure: int = 1
    notices: list[dict[str, Any]] = field(default_factory=list)
    pings: int = 0
    runner: web.ServerRunner | None = None

    async def stop(self) -> None:
        """It is off."""
        if self.runner is not None:
            await self.runner.cleanup()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/node/snapshot":
            at = self.clock.now()
            memory = Memory(pressure_level=self.pressure)
            shown = Snapshot(node="mini-1", at_seconds=at, agent_version="1", readings="macos", memory=memory)
            return web.Response(body=msgspec.json.encode(shown))
        if request.path == "/ping":
            self.pings += 1
        else:
            self.notices.append(await request.json())
        return web.Response()

    @property
    def told(self) -> list[str]:
        return [f"{one['front']}: {one['node']} {one['check']} {one['state']}" for one in self.notices]


@asynccontextmanager
async def a_mini(clock: Clock) -> AsyncIterator[Mini]:
    """Runs one until the context is left."""
    made = Mini(clock)
    made.runner = runner = web.ServerRunner(web.Server(made.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@dataclass(eq=False)
class Fronted:
    """A front that runs, with its watch on the test's clock."""

    gateway: Gateway
    watch: FrontWatch
    clock: Clock
    said: Lines
    journal: Journal
    state: Path

    async def round(self) -> None:
        """Ask everybody and look."""
        await self.watch.ask()
        await self.watch.look()

    async def pass_time(self, seconds: float, *, heard: bool = True) -> None:
        """Time passes, and mini-1 is heard again (or could have been)."""
        self.clock.seconds += seconds
        await until(lambda: self._tried_at("mini-1") >= self.clock.seconds or not heard)
        await self.round()

    def knocked(self, node: str) -> bool:
        """Whether its SSH port was tried."""
        return node in self.watch._life.knocker.answers

    def _tried_at(self, node: str) -> float:
        heard = self.gateway.nodebook.heard(node)
        return (heard.tried_at_seconds or 0.0) if heard is not None else 0.0

    @property
    def events(self) -> list[str]:
        return [f"{one.node} {one.check} {one.after.value}" for one in EventFiles(self.state / "events").read()]


@asynccontextmanager
async def a_front(config_file: Path, clock: Clock) -> AsyncIterator[Fronted]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(new_session())
        current, said = Current(config_file), Lines()
        journal = Journal(stderr=said)
        stack.callback(journal.close)
        gateway = Gateway(current, session, admission=AdmitAll(), accounting=Books())
        gateway.nodebook._now = clock.now
        stack.push_async_callback(gateway.close)
        config = current.loaded.config
        watch = FrontWatch(
            current=current,
            book=gateway.nodebook,
            session=session,
            journal=journal,
            able=yes,
            now=clock.now,
            monotonic=clock.now,
        )
        stack.push_async_callback(watch.close)
        await gateway.runner.setup()
        listen = config.listen
        await web.TCPSite(gateway.runner, listen.host, listen.port, ssl_context=server_context(listen)).start()
        gateway.follow()
        watch.follow()
        assert config.state_dir is not None
        yield Fronted(gateway, watch, clock, said, journal, Path(config.state_dir))


async def yes() -> bool:
    return True
