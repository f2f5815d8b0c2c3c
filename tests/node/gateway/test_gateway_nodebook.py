"""The book of nodes: whose snapshots a gateway reads, and what it knows when one is silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_agent import FakeAgent
from gateway_harness import NODE_KEY, until, write_config
from gateway_operated import Lines

from fleet.errors import ConfigError
from fleet.node.gateway.config import load
from fleet.node.gateway.journal import Journal
from fleet.node.gateway.metrics import Metrics
from fleet.node.gateway.node_sources import sources
from fleet.node.gateway.nodebook import Heard
from fleet.node.gateway.operation import Operation
from fleet.traffic.config import FleetWatch, Upstream, WatchedNode, Wellness
from fleet.vocabulary.contracts.gateway_admin import DEPLOY, IntentRequest
from fleet.vocabulary.names import Intent
from fleet.vocabulary.secret import Secret

PIN = "sha256//" + "A" * 43 + "="
OFTEN = Wellness(every_seconds=0.02)


def edge(node: str, url: str, **changes: Any) -> Upstream:
    values: dict[str, Any] = {"name": f"{node}/smol", "kind": "edge", "engine": "openai_compatible", "serves": "smol"}
    return Upstream(url=url, node=node, **{**values, "model": "smol", **changes})


@pytest.fixture
def node_key(tmp_path: Path) -> str:
    file = tmp_path / "node.key"
    file.write_text(NODE_KEY)
    file.chmod(0o600)
    return str(file)


@pytest.fixture
async def agent() -> AsyncIterator[Callable[[str], Awaitable[FakeAgent]]]:
    started: list[FakeAgent] = []

    async def go(node: str) -> FakeAgent:
        started.append(await FakeAgent(node).start())
        return started[-1]

    yield go
    for one in started:
        await one.stop()


async def test_what_a_deploy_stops_is_said_by_the_edge_and_by_the_gateways_own_book(
    start: Any, node_key: str, agent: Callable[[str], Awaitable[FakeAgent]]
) -> None:
    def car(name: str) -> Upstream:
        return edge("", "http://127.0.0.1:9", kind="sidecar", name=name)

    own, behind = await agent("mini-1"), await agent("mini-2")
    other = await start(car("sidecar.b"), name="edge", node="mini-2", agent_port=behind.port)
    far = edge("mini-2", other.url, key_file=node_key)
    gateway = await start(car("sidecar.a"), far, agent_port=own.port, wellness=OFTEN)
    works = [
        Operation(one.gateway, one.current, metrics=Metrics(), journal=Journal(stderr=Lines()))
        for one in (gateway, other)
    ]

    def told() -> list[tuple[str, ...]]:
        heard = [gateway.gateway.nodebook.heard(node) for node in ("mini-1", "mini-2")]
        return [one.snapshot.planned if one and one.snapshot else ("nothing yet",) for one in heard]

    await until(lambda: told() == [(), ()])
    for work in works:
        work.intents.want(IntentRequest(intent=Intent.DRAINING, by=f"{DEPLOY} r1"))
    await until(lambda: told() == [("sidecar.a",), ("sidecar.b",)])
    for work in works:
        work.intents.want(IntentRequest(intent=Intent.SERVING, by=f"{DEPLOY} r1"))
    await until(lambda: told() == [(), ()])


def test_a_node_is_read_once_however_many_upstreams_and_lists_name_it(tmp_path: Path, node_key: str) -> None:
    here, there = "http://127.0.0.1:1", "http://127.0.0.1:2"
    file = write_config(
        tmp_path,
        edge("mini-2", there, key_file=node_key),
        edge("mini-2", there, name="mini-2/other", serves="other", key_file=node_key),
        edge("", "http://127.0.0.1:3", name="nameless"),
        edge("mini-1", here),
        watch=FleetWatch(
            nodes=(
                WatchedNode(node="mini-2", url="https://127.0.0.1:9", pin=PIN),
                WatchedNode(node="mini-4", url="https://127.0.0.1:4", pin=PIN, key_file=node_key),
                WatchedNode(node="mini-5"),
            )
        ),
        agent_port=7,
    )
    found = {one.node: one for one in sources(load(file))}
    assert list(found) == ["mini-1", "mini-2", "http://127.0.0.1:3", "mini-4", "mini-5"]
    assert (found["mini-1"].own, found["mini-1"].url) == (True, here)
    assert (found["mini-2"].url, found["mini-2"].key) == (there, Secret(NODE_KEY))
    assert (found["mini-4"].pin, found["mini-4"].key) == (PIN, Secret(NODE_KEY))
    assert found["mini-5"].url is None


def test_a_watched_node_over_tls_needs_its_pin(tmp_path: Path) -> None:
    file = write_config(tmp_path, watch=FleetWatch(nodes=(WatchedNode(node="mini-4", url="https://127.0.0.1:4"),)))
    with pytest.raises(ConfigError, match="watched node 'mini-4': an edge needs its pinned key"):
        load(file)


async def test_the_own_agent_and_the_agents_behind_edges_are_read_and_told(
    start: Any, agent: Any, node_key: str
) -> None:
    behind, own = await agent("mini-2"), await agent("mini-1")
    other = await start(name="edge", node="mini-2", agent_port=behind.port)
    gateway = await start(edge("mini-2", other.url, key_file=node_key), agent_port=own.port, wellness=OFTEN)
    book, told = gateway.gateway.nodebook, list[Heard]()
    book.listen(told.append)

    await until(lambda: {one.node for one in book.all() if one.snapshot} == {"mini-1", "mini-2"})
    heard = book.heard("mini-2")
    assert (heard.problem, heard.reached, heard.snapshot.node) == ("", True, "mini-2")
    assert heard.word.address == other.url.removeprefix("http://")
    await until(lambda: sum(one.node == "mini-2" for one in told) >= 3)
    assert len({one.new_at for one in told if one.node == "mini-2"}) == 1, "the same sample again is no new one"
    behind.sample()
    await until(lambda: book.heard("mini-2").new_at > heard.new_at)
    assert book.heard("nobody") is None


async def test_a_node_that_falls_silent_keeps_its_last_snapshot_and_has_a_problem(
    start: Any, agent: Any, node_key: str
) -> None:
    behind = await agent("mini-2")
    other = await start(name="edge", node="mini-2", agent_port=behind.port)
    gateway = await start(edge("mini-2", other.url, key_file=node_key), wellness=OFTEN)
    book = gateway.gateway.nodebook
    await until(lambda: book.heard("mini-2").snapshot)
    await behind.stop()
    await until(lambda: book.heard("mini-2").problem)
    heard = book.heard("mini-2")
    assert heard.snapshot is not None
    assert heard.reached, "its edge said so itself"
    assert heard.problem == "its edge answered 503: the node's agent: it cannot be reached"
    await behind.start()
    await until(lambda: not book.heard("mini-2").problem)

    await other.gateway.runner.cleanup()
    await until(lambda: book.heard("mini-2").problem)
    assert not book.heard("mini-2").reached


async def test_a_key_without_the_scope_is_a_problem_that_names_it(start: Any, agent: Any, tmp_path: Path) -> None:
    other = await start(name="edge", node="mini-2", agent_port=(await agent("mini-2")).port)
    gateway = await start(edge("mini-2", other.url), wellness=OFTEN)
    book = gateway.gateway.nodebook
    await until(lambda: book.heard("mini-2").problem)
    assert book.heard("mini-2").problem.startswith("its edge answered 401")


@pytest.mark.parametrize("body", [b"", b"no json", b"{}", b'{"node": 5}', b"[" * 5000])
async def test_odd_snapshots_are_a_problem_and_no_snapshot(start: Any, agent: Any, body: bytes) -> None:
    own = await agent("mini-1")
    own.body = body
    gateway = await start(agent_port=own.port, wellness=OFTEN)
    book = gateway.gateway.nodebook
    await until(lambda: book.heard("mini-1").problem)
    assert (book.heard("mini-1").problem, book.heard("mini-1").snapshot) == ("its snapshot cannot be read", None)


async def test_a_reload_reads_new_nodes_and_forgets_those_that_left(
    start: Any, agent: Any, node_key: str, tmp_path: Path
) -> None:
    second, third = await agent("mini-2"), await agent("mini-3")
    edges = [await start(name=one.node, node=one.node, agent_port=one.port) for one in (second, third)]
    first = edge("mini-2", edges[0].url, key_file=node_key)
    gateway = await start(first, wellness=OFTEN)
    book = gateway.gateway.nodebook
    await until(lambda: book.heard("mini-2").snapshot)

    watched = WatchedNode(node="mini-3", url=edges[1].url, key_file=node_key)
    write_config(tmp_path, wellness=OFTEN, watch=FleetWatch(nodes=(watched, WatchedNode(node="mini-4"))))
    assert gateway.current.reload(), gateway.current.problem
    gateway.gateway.follow()
    assert [one.node for one in book.all()] == ["mini-3", "mini-4"]
    await until(lambda: book.heard("mini-3").snapshot)
    assert book.heard("mini-4").problem == "it has no edge to ask"
    asked = second.asked
    await asyncio.sleep(0.1)
    assert second.asked == asked


def test_what_is_said_of_a_node_encodes() -> None:
    assert msgspec.json.decode(msgspec.json.encode(Heard(node="mini-1").word))["node"] == "mini-1"
