"""Work flows away from a node that is unwell and comes back, and health alone turns nobody away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_agent import FakeAgent, at_pace, short_of_room
from fake_mlx import FakeMlx, hangs
from gateway_harness import KEY, NODE_KEY, Identity, Running, Start, sidecar, until, write_config
from gateway_operated import BOSS, Lines, operated

from fleet.node.gateway.journal import Journal
from fleet.node.gateway.metrics import Metrics
from fleet.node.gateway.operation import Operation
from fleet.node.gateway.probing import edge_says
from fleet.traffic.config import Listen, Upstream, Wellness
from fleet.traffic.wellness import Standing
from fleet.vocabulary.contracts.gateway_admin import ExplainRequest, Explanation, RouteReports
from fleet.vocabulary.units import GIB, MIB

OFTEN = Wellness(every_seconds=0.02)
PLAIN = Listen(host="127.0.0.1", port=1)
LONG = "a question that is long enough to be remembered " * 200


@pytest.fixture
async def agent() -> AsyncIterator[Callable[..., Awaitable[FakeAgent]]]:
    started: list[FakeAgent] = []

    async def go(node: str = "mini-1") -> FakeAgent:
        started.append(await FakeAgent(node).start())
        return started[-1]

    yield go
    for one in started:
        await one.stop()


@dataclass(eq=False)
class Mac:
    """A node: its agent, its model, its edge, and the upstream as which a front knows it."""

    agent: FakeAgent
    fake: FakeMlx
    edge: Running
    upstream: Upstream


@pytest.fixture
async def mac(
    start: Start, mlx: Any, agent: Any, identity: Callable[[str], Identity], tmp_path: Path
) -> Callable[..., Awaitable[Mac]]:
    """Starts nodes. `key` is what the front shows their edges."""

    async def go(name: str, *, key: str = NODE_KEY, **changes: Any) -> Mac:
        tls, reads, fake = identity(name), await agent(name), await mlx()
        edge = await start(
            sidecar(fake, name="sidecar.smol", node=name),
            name=name,
            node=name,
            listen=tls.listen,
            agent_port=reads.port,
            wellness=OFTEN,
        )
        file = tmp_path / f"{name}.key"
        file.write_text(key)
        file.chmod(0o600)
        values: dict[str, Any] = {"kind": "edge", "engine": "openai_compatible", "serves": "smol", "model": "smol"}
        values |= {"name": f"{name}/smol", "node": name, "pin": tls.pin, "key_file": str(file), **changes}
        return Mac(reads, fake, edge, Upstream(url=edge.url, **values))

    return go


async def front_of(start: Start, *macs: Mac, **changes: Any) -> Running:
    front = await start(*(one.upstream for one in macs), name="front", node="front", listen=PLAIN, wellness=OFTEN)
    live = front.gateway.upstreams.live
    await until(lambda: all(one.readiness == "ready" for one in live.values()))
    book = front.gateway.nodebook
    await until(lambda: all(one.snapshot or one.problem for one in book.all()))
    return front


async def stands(gateway: Running, name: str, standing: Standing) -> None:
    await until(lambda: gateway.gateway.upstreams.live[name].standing is standing)


async def served_by(front: Running, **fields: Any) -> str:
    answer = await front.chat(**fields)
    assert answer.status == 200, await answer.text()
    return answer.headers["x-fleet-upstream"]


async def test_a_node_without_room_gets_nothing_until_two_good_samples_came(start: Start, mac: Any) -> None:
    one, two = await mac("mini-1"), await mac("mini-2")
    front = await front_of(start, one, two)
    one.agent.sample(**short_of_room())
    await stands(front, "mini-1/smol", Standing.NONE)
    assert {await served_by(front, user=f"user {number}") for number in range(6)} == {"mini-2/smol"}

    one.agent.sample()
    await until(lambda: front.gateway.nodebook.heard("mini-1").snapshot.at_seconds == one.agent.at_seconds)
    assert front.gateway.upstreams.live["mini-1/smol"].standing is Standing.NONE, "one good sample is not enough"
    one.agent.sample()
    await stands(front, "mini-1/smol", Standing.FULL)
    assert {await served_by(front, user=f"user {number}") for number in range(12)} == {"mini-1/smol", "mini-2/smol"}
    assert front.books.words == ["ok"] * 18


async def test_the_answer_names_whom_health_kept_it_from_and_only_then(start: Start, mac: Any) -> None:
    one, two = await mac("mini-1"), await mac("mini-2")
    front = await front_of(start, one, two)
    answers = [await front.chat(user=f"user {number}") for number in range(8)]
    homes = [answer.headers["x-fleet-upstream"] for answer in answers]
    assert not any("x-fleet-avoided" in answer.headers for answer in answers)

    one.agent.sample(**at_pace(0.1))
    await stands(front, "mini-1/smol", Standing.NONE)
    answers = [await front.chat(user=f"user {number}") for number in range(8)]
    said = [answer.headers.get("x-fleet-avoided") for answer in answers]
    assert said == ["mini-1/smol=pace" if home == "mini-1/smol" else None for home in homes]
    assert {answer.headers["x-fleet-attempts"] for answer in answers} == {"1"}, "to be passed over is no attempt"


async def test_a_conversation_leaves_a_node_that_is_unwell(start: Start, mac: Any) -> None:
    one, two = await mac("mini-1"), await mac("mini-2")
    front = await front_of(start, one, two)
    turns = [{"role": "user", "content": LONG}]
    home = await served_by(front, messages=turns, user="ann")
    assert {await served_by(front, messages=turns, user="ann") for _ in range(3)} == {home}
    sick = one if home == "mini-1/smol" else two
    sick.agent.sample(**short_of_room(600 * MIB))
    await stands(front, home, Standing.LESS)
    assert await served_by(front, messages=turns, user="ann") != home


async def test_a_lone_node_serves_however_unwell_it_is_and_says_so(start: Start, mac: Any) -> None:
    one = await mac("mini-1")
    front = await front_of(start, one)
    one.agent.sample(**short_of_room())
    for gateway, name in ((one.edge, "sidecar.smol"), (front, "mini-1/smol")):
        await stands(gateway, name, Standing.NONE)
    for gateway in (one.edge, front):
        answer = await gateway.chat()
        assert answer.status == 200
        assert "x-fleet-avoided" not in answer.headers
        assert (await gateway.get("/readyz", key=None)).status == 200
        listed = await (await gateway.get("/v1/models/smol")).json()
        assert (listed["fleet"]["ready"], listed["fleet"]["standing"]) == (True, "none")
        assert listed["fleet"]["unwell"] == ["0 B left under the GPU wired limit"]


async def test_who_gets_less_has_half_as_many_places_and_the_rest_wait_for_them(start: Start, mac: Any) -> None:
    one = await mac("mini-1", max_in_flight=2)
    front = await front_of(start, one)
    one.agent.sample(**short_of_room(600 * MIB))
    await stands(front, "mini-1/smol", Standing.LESS)
    one.fake.script = hangs
    first = asyncio.create_task(front.chat(stream=True))
    await one.fake.next()
    live = front.gateway.upstreams.live["mini-1/smol"]
    second = asyncio.create_task(front.chat(stream=True))
    await until(lambda: front.gateway.upstreams.waiting("interactive"))
    assert live.in_flight == 1
    await one.fake.next()  # it waited as long as it may, and was served: health costs a wait, no answer
    assert live.in_flight == 2
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_when_the_healthy_fail_the_unwell_is_asked(start: Start, mac: Any) -> None:
    one, two = await mac("mini-1"), await mac("mini-2")
    front = await front_of(start, one, two)
    one.agent.sample(**short_of_room())
    await stands(front, "mini-1/smol", Standing.NONE)
    await two.edge.gateway.runner.cleanup()
    answer = await front.chat()
    assert (answer.status, answer.headers["x-fleet-upstream"]) == (200, "mini-1/smol")


async def test_a_front_that_may_not_read_a_node_believes_its_edge(start: Start, mac: Any) -> None:
    one, two = await mac("mini-1", key=KEY), await mac("mini-2")
    front = await front_of(start, one, two)
    heard = front.gateway.nodebook.heard("mini-1")
    assert heard is not None
    assert heard.problem.startswith("its edge answered 403")
    one.agent.sample(**short_of_room())
    await stands(front, "mini-1/smol", Standing.NONE)
    assert {await served_by(front, user=f"user {number}") for number in range(6)} == {"mini-2/smol"}
    one.agent.sample()
    await until(
        lambda: one.edge.gateway.upstreams.live["sidecar.smol"].wellbeing.sampled_at_seconds == one.agent.at_seconds
    )
    one.agent.sample()
    await stands(front, "mini-1/smol", Standing.FULL)


async def test_a_silent_agent_costs_its_node_nothing(start: Start, mlx: Any, agent: Any) -> None:
    reads = await agent()
    quick = Wellness(every_seconds=0.02, stale_seconds=0.2)
    gateway = await start(sidecar(await mlx()), agent_port=reads.port, wellness=quick)
    reads.sample(**short_of_room())
    await stands(gateway, "mini-1.chat", Standing.NONE)
    await reads.stop()
    await stands(gateway, "mini-1.chat", Standing.FULL)
    assert gateway.gateway.upstreams.live["mini-1.chat"].wellbeing.note.startswith("its last sample came")


async def test_a_reload_keeps_how_a_node_is(start: Start, mlx: Any, agent: Any, tmp_path: Path) -> None:
    reads, fake = await agent(), await mlx()
    gateway = await start(sidecar(fake), agent_port=reads.port, wellness=OFTEN)
    reads.sample(**short_of_room())
    await stands(gateway, "mini-1.chat", Standing.NONE)
    write_config(tmp_path, sidecar(fake, max_in_flight=3), agent_port=reads.port, wellness=OFTEN)
    assert gateway.current.reload(), gateway.current.problem
    gateway.gateway.follow()
    assert gateway.gateway.upstreams.live["mini-1.chat"].standing is Standing.NONE


async def test_health_is_in_metrics_reports_and_explanations(tmp_path: Path, mlx: Any, agent: Any) -> None:
    reads, near, far = await agent(), await mlx(), await mlx()
    other = sidecar(far, name="sidecar.other", node="mini-1")
    mine = sidecar(near, name="sidecar.smol", node="mini-1")
    async with operated(tmp_path, mine, other, agent_port=reads.port, wellness=OFTEN) as one:
        port = int(near.url.rpartition(":")[2])
        reads.sample(**at_pace(0.1, port=port))
        await stands(one, "sidecar.smol", Standing.NONE)
        avoided = [(await one.chat(user=f"user {number}")).headers.get("x-fleet-avoided") for number in range(8)]
        count = avoided.count("mini-1/sidecar.smol=pace")
        assert 0 < count == sum(bool(one) for one in avoided)
        families = await one.families()
        assert families['fleet_upstream_standing{node="mini-1",upstream="sidecar.smol",model="smol"}'] == "2"
        assert families['fleet_health_avoided_total{upstream="sidecar.smol",reason="pace"}'] == str(count)

        status, found = await one.ask("/admin/routes")
        assert status == 200
        report = decoded(found, RouteReports).routes[0].upstreams[0]
        assert (report.state, report.standing) == ("ready", "none")
        assert report.unwell == ("answers at 10% of its usual pace",)
        _, found = await one.ask("/admin/explain", ExplainRequest())
        said = decoded(found, Explanation)
        assert said.attempts == ("sidecar.other",)
        assert said.reasons["sidecar.smol"].startswith("passed over while others can serve: answers at 10%")
        shown = await (await one.get("/v1/status", key=BOSS)).json()
        row = shown["routes"][0]["upstreams"][0]
        assert (row["state"], row["standing"]) == ("ready", "none")
        assert row["reason"].startswith("no new work while others serve: answers at 10%")


async def test_the_log_says_when_a_standing_changes_and_why(start: Start, mlx: Any, agent: Any) -> None:
    reads, said = await agent(), Lines()
    gateway = await start(sidecar(await mlx()), agent_port=reads.port, wellness=OFTEN)
    journal = Journal(stderr=said)
    Operation(gateway.gateway, gateway.current, metrics=Metrics(), journal=journal)
    reads.sample(**short_of_room())
    await stands(gateway, "mini-1.chat", Standing.NONE)
    for _ in range(2):
        await until(lambda: _sampled_at(gateway) == reads.at_seconds)
        reads.sample()
    await stands(gateway, "mini-1.chat", Standing.FULL)
    journal.close()
    lines = [line.partition(" INFO ")[2] for line in said.text.splitlines() if "INFO standing" in line]
    assert lines == [
        'standing upstream=mini-1.chat standing=none reason="0 B left under the GPU wired limit"',
        "standing upstream=mini-1.chat standing=full",
    ]


def _sampled_at(gateway: Running) -> float | None:
    return gateway.gateway.upstreams.live["mini-1.chat"].wellbeing.sampled_at_seconds


def decoded(found: Any, kind: type[Any]) -> Any:
    return msgspec.convert(found, kind)


@pytest.mark.parametrize(
    ("said", "standing", "unwell"),
    [
        ({"ready": True}, Standing.FULL, ()),
        ({"ready": True, "standing": "less", "unwell": ["it is hot"]}, Standing.LESS, ("it is hot",)),
        ({"ready": False, "standing": "none", "unwell": "no list"}, Standing.NONE, ()),
        ({"ready": True, "standing": "ill", "unwell": ["it is hot"]}, Standing.FULL, ()),
        ({"ready": True, "standing": ["less"]}, Standing.FULL, ()),
        ({"ready": True, "standing": "less", "unwell": [5, "", "a\nb"]}, Standing.LESS, ("a b",)),
    ],
)
def test_what_an_edge_says_of_its_health_is_read_and_nothing_odd_is(
    said: dict[str, Any], standing: Standing, unwell: tuple[str, ...]
) -> None:
    word = edge_says(json.dumps({"data": [{"id": "m", "fleet": said}]}).encode(), "m")
    assert (word.standing, word.unwell) == (standing, unwell)


def test_the_thresholds_of_the_tests_are_those_of_the_program() -> None:
    assert Wellness().headroom_none_bytes == 256 * MIB < 600 * MIB < (Wellness().headroom_less_bytes or 0) < 8 * GIB
