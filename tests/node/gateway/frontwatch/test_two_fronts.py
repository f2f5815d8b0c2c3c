"""Two fronts and a node, in this process: what one sees of the others, tells, and shows."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from gateway_harness import RING, Books, Identity, hashed, until, write_config
from gateway_operated import BOSS, Lines

from fleet.node.gateway.call import AdmitAll
from fleet.node.gateway.frontwatch.watch import FrontWatch
from fleet.node.gateway.gateway import Gateway, new_session
from fleet.node.gateway.journal import Journal
from fleet.node.gateway.metrics import Metrics
from fleet.node.gateway.operation import Operation
from fleet.node.gateway.reload import Current
from fleet.node.gateway.tls import server_context
from fleet.traffic.config import FleetWatch, KeyRing, Listen, Peer, WatchedNode, Wellness
from fleet.vocabulary.contracts.gateway_admin import NodeWords
from fleet.vocabulary.contracts.snapshot import Memory, Snapshot
from fleet.vocabulary.eventfiles import EventFiles
from fleet.vocabulary.names import GatewayRole

QUICK = Wellness(every_seconds=0.05)


@dataclass
class Clock:
    """The wall clock of a front."""

    seconds: float = 1_763_800_000.0

    def now(self) -> float:
        return self.seconds


@dataclass
class Mini:
    """A node's edge that gives a snapshot, and a receiver of notices and pings."""

    clock: Clock
    url: str = ""
    pressure: int = 1
    notices: list[dict[str, Any]] = field(default_factory=list)
    pings: int = 0

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


@pytest.fixture
async def mini() -> AsyncIterator[Mini]:
    made = Mini(Clock())
    runner = web.ServerRunner(web.Server(made.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@dataclass(frozen=True)
class Place:
    """Where a front is, before it is there."""

    name: str
    listen: Listen
    pin: str

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.listen.port}"


def place(name: str, identity: Callable[[str], Identity]) -> Place:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    known = identity(name)
    return Place(name, msgspec.structs.replace(known.listen, port=port), known.pin)


def config_of(folder: Path, own: Place, other: Place, mini: Mini) -> Path:
    folder.mkdir(exist_ok=True)
    for name, url in (("webhook.url", f"{mini.url}/hook"), ("ping.url", f"{mini.url}/ping"), ("fleet.key", BOSS)):
        (folder / name).write_text(url)
        (folder / name).chmod(0o600)
    watch = FleetWatch(
        nodes=(
            WatchedNode(node="mini-1", url=mini.url, key_file=str(folder / "fleet.key")),
            WatchedNode(node=other.name, url=other.url, pin=other.pin, key_file=str(folder / "fleet.key")),
        ),
        peers=(Peer(node=other.name, url=other.url, pin=other.pin),),
        webhook_file=str(folder / "webhook.url"),
        ping_file=str(folder / "ping.url"),
    )
    path = write_config(
        folder, node=own.name, role=GatewayRole.FRONT, listen=own.listen,
        state_dir=str(folder / "state"), watch=watch, wellness=QUICK,
    )  # fmt: skip
    ring = KeyRing(keys=(*RING.keys, hashed("boss", BOSS, "inference", "node", "admin")))
    (folder / "keys.json").write_bytes(msgspec.json.encode(ring))
    return path


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

    async def pass_time(self, seconds: float) -> None:
        """Time passes, and mini-1 is heard again."""
        self.clock.seconds += seconds
        await until(lambda: self._tried_at("mini-1") >= self.clock.seconds)
        await self.round()

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
            current=current, book=gateway.nodebook, session=session, journal=journal, able=yes, now=clock.now
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


async def test_a_front_that_dies_is_told_by_the_other_and_its_return_too(
    tmp_path: Path, identity: Callable[[str], Identity], mini: Mini
) -> None:
    one, two = place("front-1", identity), place("front-2", identity)
    first = config_of(tmp_path / "1", one, two, mini)
    second = config_of(tmp_path / "2", two, one, mini)
    async with a_front(first, mini.clock) as front:
        async with a_front(second, mini.clock) as other:
            await front.pass_time(5)
            await other.pass_time(5)
            assert front.watch.view().fronts == {"front-2": True}  # type: ignore[union-attr]
            assert other.watch.view().fronts == {"front-1": True}  # type: ignore[union-attr]
        for _ in range(4):
            await front.pass_time(25)
        assert front.events.count("front-2 front_silent critical") == 1
        assert "front-2 node_unreachable critical" not in front.events
        await until(lambda: "front-1: front-2 front_silent began" in mini.told)
        async with a_front(second, mini.clock):
            await front.pass_time(5)
            assert front.events.count("front-2 front_silent ok") == 1
            await until(lambda: "front-1: front-2 front_silent ended" in mini.told)


async def test_a_restart_of_a_front_neither_repeats_nor_forgets_what_it_told(
    tmp_path: Path, identity: Callable[[str], Identity], mini: Mini
) -> None:
    one, two = place("front-1", identity), place("front-2", identity)
    config_file = config_of(tmp_path / "1", one, two, mini)
    mini.pressure = 4
    async with a_front(config_file, mini.clock) as front:
        for _ in range(4):
            await front.pass_time(5)
        await until(lambda: "front-1: mini-1 memory_pressure began" in mini.told)
    mini.clock.seconds += 900
    async with a_front(config_file, mini.clock) as front:
        for _ in range(4):
            await front.pass_time(5)
        mini.pressure = 1
        for _ in range(10):
            await front.pass_time(5)
        await until(lambda: "front-1: mini-1 memory_pressure ended" in mini.told)
    about = [one for one in mini.told if "memory_pressure" in one]
    assert about == ["front-1: mini-1 memory_pressure began", "front-1: mini-1 memory_pressure ended"]
    began, ended = (one for one in mini.notices if one["check"] == "memory_pressure")
    assert began["fault"] == ended["fault"]


async def test_a_front_shows_all_nodes_to_its_operator_and_to_prometheus(
    tmp_path: Path, identity: Callable[[str], Identity], mini: Mini
) -> None:
    one, two = place("front-1", identity), place("front-2", identity)
    config_file = config_of(tmp_path / "1", one, two, mini)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(new_session())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        current, journal, metrics = Current(config_file), Journal(stderr=Lines()), Metrics()
        stack.callback(journal.close)
        gateway = Gateway(current, session, admission=AdmitAll(), accounting=Books())
        stack.push_async_callback(gateway.close)
        operation = Operation(gateway, current, metrics=metrics, journal=journal)
        stack.push_async_callback(operation.close)
        admin = operation.admin_runner()
        for runner in (gateway.runner, admin):
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
        stack.push_async_callback(admin.cleanup)
        gateway.follow()
        operation.follow()
        await until(lambda: gateway.nodebook.heard("mini-1").snapshot)  # type: ignore[union-attr]
        shown = {"Authorization": f"Bearer {BOSS}"}
        front_url, admin_url = (f"http://127.0.0.1:{runner.addresses[0][1]}" for runner in (gateway.runner, admin))

        async with http.get(f"{admin_url}/admin/nodes", headers=shown) as answer:
            words = msgspec.json.decode(await answer.read(), type=NodeWords)
        by_node = {one.node: one for one in words.nodes}
        assert words.node == "front-1"
        assert by_node["mini-1"].snapshot is not None
        assert by_node["front-2"].problem.startswith("its edge: ")

        async with http.get(f"{front_url}/node/sd", headers=shown) as answer:
            assert json.loads(await answer.read()) == [
                {
                    "targets": [url.partition("//")[2]],
                    "labels": {
                        "node": name,
                        "role": role,
                        "__scheme__": url.partition(":")[0],
                        "__metrics_path__": "/node/metrics",
                    },
                }
                for name, role, url in (("mini-1", "edge", mini.url), ("front-2", "front", two.url))
            ]
        async with http.get(f"{front_url}/node/sd", headers={"Authorization": "Bearer sk-client-0123456789"}) as answer:
            assert answer.status == 403

        async with http.get(f"{front_url}/metrics", headers=shown) as answer:
            text = await answer.text()
        assert 'fleet_node_up{node="mini-1"} 1' in text
        assert 'fleet_node_up{node="front-2"} 0' in text
        assert "fleet_webhook_waiting 0" in text
        assert mini.url not in text


async def test_an_edge_watches_nobody_and_says_so(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(new_session())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        current, journal = Current(write_config(tmp_path)), Journal(stderr=Lines())
        stack.callback(journal.close)
        ring = KeyRing(keys=(*RING.keys, hashed("boss", BOSS, "inference", "node", "admin")))
        (tmp_path / "keys.json").write_bytes(msgspec.json.encode(ring))
        current.reload()
        gateway = Gateway(current, session, admission=AdmitAll(), accounting=Books())
        stack.push_async_callback(gateway.close)
        operation = Operation(gateway, current, metrics=Metrics(), journal=journal)
        stack.push_async_callback(operation.close)
        admin = operation.admin_runner()
        for runner in (gateway.runner, admin):
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
        stack.push_async_callback(admin.cleanup)
        operation.follow()
        for runner, path, code in (
            (gateway.runner, "/node/sd", "no_watch"),
            (admin, "/admin/nodes", "not_a_front"),
        ):
            url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
            async with http.get(url, headers={"Authorization": f"Bearer {BOSS}"}) as answer:
                assert answer.status == 404
                assert (await answer.json())["error"]["code"] == code
