"""A sidecar that takes connections and never answers is drained, ended, started again by launchd, and serves again."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fleet.node.agent import sidecars
from fleet.node.agent.agent import Agent, listen
from fleet.sim.ports import free_port
from fleet.testing.admindoor import AdminDoor, admin_door
from fleet.testing.mac import FakeMac
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.agent import AgentConfig, AgentService, AgentSidecar, Care
from fleet.vocabulary.contracts.snapshot import CareReading, SidecarReading
from fleet.vocabulary.names import Intent
from fleet.vocabulary.secret import Secret
from tests.sim.conftest import LABEL, TARGET, Lab

SERVER = """\
import http.server, os, sys, time
port, curse = int(sys.argv[1]), sys.argv[2]
if os.path.exists(curse):
    os.unlink(curse)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        while os.path.exists(curse):
            time.sleep(0.05)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.end_headers()
    do_POST = do_GET
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class Ward:
    """A sidecar of a simulated launchd, and the agent that cares for it."""

    def __init__(self, lab: Lab, folder: Path, door: AdminDoor) -> None:
        self.lab, self.folder, self.door = lab, folder, door
        self.curse = folder / "curse"
        self.printed = folder / "printed.txt"
        self.port = free_port()

    async def start(self) -> None:
        (self.folder / "server.py").write_text(SERVER)
        launchctl = self.folder / "launchctl"
        launchctl.write_text(f'#!/bin/sh\nexec cat "{self.printed}"\n')
        launchctl.chmod(0o755)
        words = f"exec {sys.executable} -S {self.folder}/server.py {self.port} {self.curse}"
        await self.lab.load(words, KeepAlive=True, ThrottleInterval=1)

    def agent(self) -> Agent:
        care = Care(restart_after_seconds=0.3, drain_seconds=20.0)
        listener = listen(0, patience_seconds=1)
        config = AgentConfig(
            node="mini-1",
            port=listener.getsockname()[1],
            token_file="",
            readings="macos",
            domain="system",
            launchctl=str(self.folder / "launchctl"),
            var_dir=str(self.folder),
            services=(AgentService(name="sidecar.chat", label=LABEL),),
            sidecars=(AgentSidecar(name="sidecar.chat", model="smollm2", port=self.port, care=care),),
            fast_seconds=0.1,
            slow_seconds=0.2,
            gateway_admin_port=self.door.port,
        )
        return Agent(config, FakeMac(), SystemClock(), listener=listener, token=Secret("t"), log=lambda _: None)

    @asynccontextmanager
    async def tended(self) -> AsyncIterator[Agent]:
        """An agent in a thread of its own."""
        agent = self.agent()
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                agent.turn(longest_seconds=0.05)
            agent.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield agent
        finally:
            stop.set()
            await asyncio.to_thread(thread.join, 10)

    async def until(self, agent: Agent, true: Callable[[SidecarReading], object]) -> SidecarReading:
        """The sidecar, as soon as something is true of it. Meanwhile launchctl says what launchd knows."""
        for _ in range(600):
            text = (await self.lab.run("print", TARGET))[1]
            new = self.printed.with_suffix(".new")
            new.write_text(text)
            new.replace(self.printed)
            reading = agent.snapshot().sidecars[0]
            if true(reading):
                return reading
            await asyncio.sleep(0.03)
        raise AssertionError(f"never: {reading}")


def care_of(reading: SidecarReading) -> CareReading:
    return reading.care or CareReading()


def is_well(reading: SidecarReading) -> bool:
    return bool(reading.ready) and care_of(reading).state == "watching"


@pytest.fixture
def ward(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    """A sidecar that is looked after impatiently."""
    monkeypatch.setattr(sidecars, "LIVE_DEADLINE_SECONDS", 0.4)
    with admin_door("t") as door:
        ward = Ward(lab, tmp_path, door)
        door.pace("chat", ward.port)
        yield ward


async def test_a_zombie_is_drained_restarted_and_resumed(ward: Ward) -> None:
    await ward.start()
    async with ward.tended() as agent:
        await ward.until(agent, is_well)
        before = await ward.lab.pid()
        ward.curse.touch()
        ill = await ward.until(agent, lambda reading: care_of(reading).state in ("draining", "restarting"))
        assert "generated nothing" in care_of(ill).reason
        well = await ward.until(agent, lambda reading: is_well(reading) and care_of(reading).restarts_total == 1)
        assert await ward.lab.pid() != before
        assert (await ward.lab.printed()).last_exit == "Terminated: 15"
        assert "generated nothing" in care_of(well).restarted_for
        await ward.until(agent, lambda _: not ward.door.wishes)
    assert (ward.door.asked[0].intent, ward.door.asked[0].sidecar) == (Intent.DRAINING, "chat")
    assert ward.door.asked[-1].intent is Intent.SERVING
    assert {one.by.partition(" ")[0] for one in ward.door.asked} == {"agent:"}


async def test_an_agent_that_ends_in_the_middle_goes_on_where_it_was(ward: Ward) -> None:
    await ward.start()
    async with ward.tended() as agent:
        await ward.until(agent, is_well)
        ward.curse.touch()
        await ward.until(agent, lambda reading: care_of(reading).state != "watching")
    async with ward.tended() as agent:
        await ward.until(agent, lambda reading: is_well(reading) and not ward.door.wishes)
        await ward.until(agent, lambda reading: care_of(reading).restarts_total >= 1)
