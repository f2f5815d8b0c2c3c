"""Two nodes serve one model under load; a fault on one moves new work away and a recovery brings it back.

Real agents (processes, readings from files), real edges that they ask for the pace, a real front, and clients that
never stop. What is counted is samples of the agent, not seconds. `make show-routing` shows it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fake_mlx import STREAM_HEAD, Exchange, FakeMlx, chunk
from gateway_harness import NODE_KEY, Running, Start, sidecar, until
from gateway_operated import AGENT_KEY, Operated, operated
from real_agent import FAST_SECONDS, RealAgent, real_agent

from fleet.node.gateway.nodebook import Heard
from fleet.sim.ports import free_port
from fleet.traffic.config import Listen, Upstream, Wellness
from fleet.traffic.pace import PaceWindow
from fleet.traffic.wellness import Standing
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.units import MIB

CLIENTS = 4
TOKENS = 80
WELL_SECONDS, SLOW_SECONDS = 0.1, 1.0
USUAL = TOKENS / (2 * WELL_SECONDS)  # half of what it gives: a busy machine is no slow one
QUICKLY = Wellness(every_seconds=FAST_SECONDS / 5, stale_seconds=5.0, pace_less_ratio=None)
SLOW_RATIO = QUICKLY.pace_none_ratio or 0.0
TWO_SAMPLES = 2


@dataclass(eq=False)
class Mac:
    """One node. `decode_seconds` is how long its model decodes an answer."""

    name: str
    agent: RealAgent
    edge: Operated
    fake: FakeMlx
    decode_seconds: float = WELL_SECONDS

    @property
    def upstream(self) -> str:
        return f"{self.name}/smol"

    async def says(self, exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + chunk(content="t"))
        await asyncio.sleep(self.decode_seconds)
        await exchange.send(b"".join(chunk(content="t") for _ in range(TOKENS - 1)) + chunk(finish="stop"))
        await exchange.send(b"data: [DONE]\n\n")


@dataclass(eq=False)
class Fleet:
    """Both nodes, their front, what clients got (when they asked, and who answered), and every new sample."""

    front: Running
    macs: list[Mac]
    answers: list[tuple[float, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    samples: list[tuple[Snapshot, Standing]] = field(default_factory=list)

    def standing(self, mac: Mac) -> Standing:
        return self.front.gateway.upstreams.live[mac.upstream].standing

    def heard(self, heard: Heard) -> None:
        """A Told: keeps each sample once, with what it made of its node."""
        snapshot = heard.snapshot
        if snapshot is not None and all(snapshot is not one and _key(snapshot) != _key(one) for one, _ in self.samples):
            live = self.front.gateway.upstreams.live[f"{snapshot.node}/smol"]
            self.samples.append((snapshot, live.standing))

    def samples_of(self, mac: Mac, *, since: float) -> list[tuple[Snapshot, Standing]]:
        return [one for one in self.samples if one[0].node == mac.name and one[0].at_seconds > since]

    async def client(self, number: int) -> None:
        while True:
            began = time.monotonic()
            answer = await self.front.chat(stream=bool(number % 2), user=f"client {number} {began}")
            text = await answer.text()
            if answer.status == 200 and '"error"' not in text and '"finish_reason":"stop"' in text.replace(" ", ""):
                self.answers.append((began, answer.headers["x-fleet-upstream"]))
            else:
                self.failed.append(f"{answer.status} {text}")

    async def serves(self, mac: Mac) -> None:
        since = time.monotonic()
        await until(lambda: any(name == mac.upstream and at > since for at, name in self.answers))


def _key(snapshot: Snapshot) -> tuple[str, float]:
    return snapshot.node, snapshot.at_seconds


@asynccontextmanager
async def two_macs(folder: Path, mlx: Any) -> AsyncIterator[list[Mac]]:
    async with AsyncExitStack() as stack:
        macs: list[Mac] = []
        for name in ("mini-1", "mini-2"):
            home = folder / name
            home.mkdir()
            fake, port = await mlx(), free_port()
            token = home / "gateway.token"
            token.write_text(AGENT_KEY)
            token.chmod(0o600)
            own = sidecar(fake, name="sidecar.smol", node=name)
            asked = {"agent_port": port, "agent_token_file": str(token), "wellness": QUICKLY}
            edge = await stack.enter_async_context(operated(home, own, node=name, **asked))
            pace = edge.gateway.upstreams.live["sidecar.smol"].pace
            assert pace is not None
            pace.recent = PaceWindow(window_seconds=TWO_SAMPLES * FAST_SECONDS, slots=5)
            admin = int(edge.admin.rpartition(":")[2])
            running = real_agent(
                home, name, port=port, token=AGENT_KEY, admin_port=admin, sidecar_port=fake.port, usual=USUAL
            )
            macs.append(Mac(name, await stack.enter_async_context(running), edge, fake))
            fake.script = macs[-1].says
        yield macs


@pytest.fixture
async def fleet(tmp_path: Path, mlx: Any, start: Start) -> AsyncIterator[Fleet]:
    """All of it under load, both nodes at work, and known to be well."""
    key = tmp_path / "node.key"
    key.write_text(NODE_KEY)
    key.chmod(0o600)
    async with two_macs(tmp_path, mlx) as macs:
        edges = [
            Upstream(
                name=mac.upstream,
                kind="edge",
                url=mac.edge.url,
                engine="openai_compatible",
                serves="smol",
                model="smol",
                node=mac.name,
                key_file=str(key),
            )
            for mac in macs
        ]
        front = await start(*edges, node="front", listen=Listen(host="127.0.0.1", port=1), wellness=QUICKLY)
        found = Fleet(front, macs)
        front.gateway.nodebook.listen(found.heard)
        await until(lambda: all(one.readiness == "ready" for one in front.gateway.upstreams.live.values()))
        clients = [asyncio.create_task(found.client(number)) for number in range(CLIENTS)]
        try:
            for mac in macs:
                await found.serves(mac)
                await until(lambda mac=mac: found.samples_of(mac, since=0.0)[1:])  # type: ignore[misc]
                assert found.standing(mac) is Standing.FULL, found.front.gateway.upstreams.live[mac.upstream].unwell
            yield found
        finally:
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)


async def moves_away(fleet: Fleet, mac: Mac, *, since: float) -> tuple[int, str]:
    """Wait until nothing new goes to `mac`: after how many samples, and why."""
    await until(lambda: fleet.standing(mac) is Standing.NONE)
    since_none = time.monotonic()
    count = len(fleet.samples_of(mac, since=since))
    reason = fleet.front.gateway.upstreams.live[mac.upstream].unwell[0]
    await until(lambda: len([at for at, _ in fleet.answers if at > since_none]) >= 2 * CLIENTS)
    assert mac.upstream not in {name for at, name in fleet.answers if at > since_none}
    return count, f"{reason}: no new work after {count} sample(s)"


async def comes_back(fleet: Fleet, mac: Mac, *, since: float) -> str:
    await until(lambda: fleet.standing(mac) is Standing.FULL)
    count = len(fleet.samples_of(mac, since=since))
    assert count >= QUICKLY.clean_samples
    await fleet.serves(mac)
    return f"work again after {count} samples"


def told(fleet: Fleet, *said: str) -> None:
    assert fleet.failed == []
    sys.stdout.write(f"\n{'; '.join(said)}; {len(fleet.answers)} answers, none failed\n")


async def test_a_node_that_runs_short_of_room_loses_new_work_within_two_samples_and_gets_it_back(fleet: Fleet) -> None:
    mac = fleet.macs[0]
    planted = time.time()
    mac.agent.headroom(100 * MIB)
    count, away = await moves_away(fleet, mac, since=planted)
    assert count <= TWO_SAMPLES
    cleared = time.time()
    mac.agent.headroom(None)
    told(fleet, away, await comes_back(fleet, mac, since=cleared))


async def test_a_node_that_swaps_out_loses_new_work_within_two_samples_and_gets_it_back(fleet: Fleet) -> None:
    mac = fleet.macs[1]
    with mac.agent.swaps(2000 * MIB):
        count, away = await moves_away(fleet, mac, since=time.time())
        assert count <= TWO_SAMPLES
    cleared = time.time()
    told(fleet, away, await comes_back(fleet, mac, since=cleared))


async def test_a_node_that_decodes_slowly_loses_new_work_with_the_sample_that_says_so(fleet: Fleet) -> None:
    """Its pace is known when slow answers end, which takes four samples here; it is tried again some seconds later."""
    mac = fleet.macs[0]
    planted, mac.decode_seconds = time.time(), SLOW_SECONDS
    _, away = await moves_away(fleet, mac, since=planted)
    slow = [
        standing
        for snapshot, standing in fleet.samples_of(mac, since=planted)
        if (snapshot.sidecars[0].recent_pace_ratio or 1.0) < SLOW_RATIO
    ]
    assert slow[0] is Standing.NONE
    cleared, mac.decode_seconds = time.time(), WELL_SECONDS
    told(fleet, away, await comes_back(fleet, mac, since=cleared))
