"""Two fronts and a node, in this process: what one sees of the others, tells, and shows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from frontwatch_kit import QUICK, Clock, Mini, a_front, a_mini
from gateway_harness import RING, Books, Identity, hashed, until, write_config
from gateway_operated import BOSS, Lines

from fleet.node.gateway.call import AdmitAll
from fleet.node.gateway.gateway import Gateway, new_session
from fleet.node.gateway.journal import Journal
from fleet.node.gateway.metrics import Metrics
from fleet.node.gateway.operation import Operation
from fleet.node.gateway.reload import Current
from fleet.sim.ports import free_port
from fleet.traffic.config import FleetWatch, Listen, Peer, WatchedNode
from fleet.traffic.keyring import KeyRing
from fleet.vocabulary.contracts.gateway_admin import NodeWords
from fleet.vocabulary.names import GatewayRole


@pytest.fixture
async def mini() -> AsyncIterator[Mini]:
    async with a_mini(Clock()) as made:
        yield made


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
    port = free_port()
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
        async with http.get(f"{admin_url}/admin/nodes?brief=1", headers=shown) as answer:
            brief = msgspec.json.decode(await answer.read(), type=NodeWords)
        assert [one.node for one in brief.nodes] == [one.node for one in words.nodes]
        assert all(not one.ok for word in brief.nodes if word.snapshot for one in word.snapshot.collectors)
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
