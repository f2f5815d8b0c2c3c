"""A laptop tier: since when it is so, a gateway that is not given up, nothing left behind, nobody mistaken for it."""

from __future__ import annotations

import fcntl
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from fleet.control.actions.laptop.guard import Reading
from fleet.control.actions.laptop.keeper import LOCK, PLAN, STATUS, Keeper, LaptopStatus
from fleet.control.actions.laptop.lifecycle import up
from fleet.control.actions.laptop.making import Wanted
from fleet.control.actions.laptop.plan import LaptopPlan
from fleet.control.actions.laptop.running import is_up
from fleet.control.inventory.project import Project
from fleet.control.supply.cache import Cache
from fleet.errors import FleetError, UsageError
from fleet.sim.ports import free_port

WELL, BATTERY = Reading(on_battery=False), Reading(on_battery=True)


def plan_in(folder: Path, *, admin_port: int | None = None) -> LaptopPlan:
    """A tier whose gateway and sidecar only sleep."""
    sleeper = folder / "python"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o755)
    (folder / "guard.key").write_text("k\n")
    port = free_port()
    return LaptopPlan(
        folder=str(folder), python=str(sleeper), model_path=str(folder / "model"), serves="m", gateway_port=port,
        admin_port=admin_port or port, sidecar_port=port, every_seconds=0.0, well_seconds=0.0,
    )  # fmt: skip


def kept(plan: LaptopPlan, look: Callable[[int], Reading | None]) -> Keeper:
    """Keep the tier: `look` is given how many readings there were, and ends it with None."""
    readings = 0

    def read() -> Reading:
        nonlocal readings
        readings += 1
        found = look(readings)
        if found is None:
            keeper.over.set()
        return found or WELL

    keeper = Keeper(plan, read)
    keeper.run()
    return keeper


def test_it_says_since_when_it_is_so_and_not_when_it_looked_last(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []

    def look(reading: int) -> Reading | None:
        found = msgspec.json.decode((tmp_path / STATUS).read_bytes(), type=LaptopStatus)
        told.append((found.state, found.since_seconds))
        return WELL if reading < 3 else None

    keeper = kept(plan_in(tmp_path), look)
    assert [state for state, _ in told] == ["starting"] * 3
    assert len({since for _, since in told}) == 1
    assert not keeper.gateway.alive
    assert not keeper.sidecar.alive


def test_no_child_outlives_a_keeper_that_failed(tmp_path: Path) -> None:
    keepers: list[Keeper] = []

    def read() -> Reading:
        if keepers[0].sidecar.alive and keepers[0].gateway.alive:
            raise OSError("no space left on device")
        return WELL

    keepers.append(Keeper(plan_in(tmp_path), read))
    with pytest.raises(OSError, match="no space"):
        keepers[0].run()
    assert not keepers[0].gateway.alive
    assert not keepers[0].sidecar.alive


class Gateway(BaseHTTPRequestHandler):
    """Notes what is wanted of it, and is too busy for the first `serving`."""

    wanted: list[str]

    def do_POST(self) -> None:
        intent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["intent"]
        self.wanted.append(intent)
        busy = intent == "serving" and self.wanted.count("serving") == 1
        body = b'{"node": "laptop"}'
        self.send_response(503 if busy else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name that http.server gives it)
        pass


@pytest.fixture
def gateway() -> Iterator[ThreadingHTTPServer]:
    Gateway.wanted = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_gateway_that_was_too_busy_to_hear_that_it_serves_again_is_told_until_it_has(
    tmp_path: Path, gateway: ThreadingHTTPServer
) -> None:
    def look(reading: int) -> Reading | None:
        if reading == 1:
            return BATTERY
        return WELL if Gateway.wanted.count("serving") < 2 and reading < 100 else None

    kept(plan_in(tmp_path, admin_port=gateway.server_address[1]), look)
    assert Gateway.wanted == ["draining", "serving", "serving", "draining"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / ".fleet" / "laptop").mkdir(parents=True)
    return Project(tmp_path, tmp_path / "inventory" / "fleet.yml")


def bring_up(project: Project, port: int) -> LaptopPlan:
    wanted = Wanted(model=str(project.root / "model"), gateway_port=port, battery_stops=False, unguarded=True)
    return up(wanted, project=project, cache=Cache(project.root / "cache"), notify=lambda line: None)


def test_somebody_else_on_its_port_is_not_taken_for_it(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} of this machine cannot be had"):
            bring_up(project, port - 1)


def test_two_cannot_bring_it_up_at_once(project: Project) -> None:
    with (project.state_dir / "laptop" / "up.lock").open("a") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="being brought up already"):
            bring_up(project, free_port())


def test_a_tier_that_its_guard_has_stopped_is_not_said_to_answer(project: Project) -> None:
    folder = project.state_dir / "laptop"
    port = free_port()
    plan = LaptopPlan(
        folder=str(folder), python="", model_path=str(project.root / "model"), serves="model", gateway_port=port,
        admin_port=port + 1, sidecar_port=port + 2, battery_stops=False,
    )  # fmt: skip
    (folder / PLAN).write_bytes(msgspec.json.encode(plan))
    with (folder / LOCK).open("w") as keeper:
        fcntl.flock(keeper, fcntl.LOCK_EX)
        assert bring_up(project, port) == plan
        with pytest.raises(UsageError, match="up with something else"):
            bring_up(project, port + 10)
        stopped = LaptopStatus(state="stopped", since_seconds=0.0, reason="it is hot")
        (folder / STATUS).write_bytes(msgspec.json.encode(stopped))
        with pytest.raises(FleetError, match="its guard has stopped the model: it is hot"):
            bring_up(project, port)


def test_a_folder_that_takes_nothing_is_told_without_a_traceback(project: Project) -> None:
    (project.state_dir / "laptop").rmdir()
    (project.state_dir / "laptop").write_text("no folder")
    with pytest.raises(FleetError, match="laptop: File exists"):
        bring_up(project, free_port())


def test_who_asks_whether_it_is_up_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    with (tmp_path / LOCK).open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        assert not is_up(tmp_path)
