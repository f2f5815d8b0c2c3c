"""A run drains what it stops and resumes it, whether it ends well, goes back, or is killed at any point."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakedoor import FakeDoor
from sync_kit import Node, Release

from fleet.node.sync.apply import apply
from fleet.node.sync.pending import pending_run
from fleet.testing.launchd import Crash, FaultyDisk, Fuse
from fleet.vocabulary.contracts.desired import Drain

OPERATORS = {"sidecar.big": "ann@laptop"}


def release_of(node: Node, version: str, *, program: str = "/bin/sh") -> Release:
    token = node.layout.etc("agent.token")
    release = node.release().directory(f"{node.layout.root}/etc").file(token, "the token\n", mode=0o600)
    for service in ("sidecar.chat", "sidecar.big", "gateway"):
        sidecar = None if service == "gateway" else service
        release.daemon(
            service, version, program=program, drain=Drain(admin_port=1, key_file=token, sidecar=sidecar, seconds=60)
        )
    return release


def prepare(place: Path, *, program: str = "/bin/sh") -> tuple[Node, FakeDoor]:
    """The first release runs with requests on it, one sidecar drained by an operator; the second is handed over."""
    node = Node(place)
    door = FakeDoor(now=node.clock.monotonic, runs={"sidecar.chat": [], "sidecar.big": [], "": []})
    assert node.deploy(release_of(node, "one")) == "committed"
    door.ask(1, "k", "/admin/intent", {"intent": "draining", "sidecar": "sidecar.big", "by": "ann@laptop"})
    door.runs["sidecar.chat"] = [node.clock.monotonic() + 30]
    door.asked.clear()
    new = release_of(node, "two", program=program)
    node.watch(new)
    node.stage(new)
    node.request(new)
    return node, door


def test_no_service_is_stopped_before_its_requests_ended_and_work_comes_back_after_the_gates(tmp_path: Path) -> None:
    node, door = prepare(tmp_path)
    assert apply(node.machine, door=door) == "committed"
    events = [(event.phase, event.status, event.key.rpartition(".")[2]) for event in node.events()]
    emptied = events.index(("drain", "ok", "chat"))
    stopped = next(at for at, (phase, status, key) in enumerate(events) if (phase, status) == ("step", "start"))
    resumed = events.index(("resume", "ok", ""))
    proven = max(at for at, (phase, *_) in enumerate(events) if phase == "gate")
    assert emptied < stopped < proven < resumed
    assert door.drained() == OPERATORS
    assert not door.closed


def test_a_run_that_goes_back_resumes_too(tmp_path: Path) -> None:
    node, door = prepare(tmp_path, program="/nowhere")
    assert apply(node.machine, door=door) == "reverted"
    assert door.drained() == OPERATORS
    assert not door.closed


def test_a_run_that_stops_nothing_drains_nothing(tmp_path: Path) -> None:
    node, door = prepare(tmp_path)
    apply(node.machine, door=door)
    door.asked.clear()
    more = release_of(node, "two").file(node.layout.etc("note"), "x")
    node.stage(more)
    node.request(more)
    assert apply(node.machine, door=door) == "committed"
    assert not door.asked


@pytest.mark.parametrize("program", ["/bin/sh", "/nowhere"])
def test_killed_anywhere_and_started_again_nothing_stays_drained_by_a_deploy(tmp_path: Path, program: str) -> None:
    whole = 0
    for after in range(0, 10_000, 7):
        place = tmp_path / f"{after}"
        place.mkdir()
        node, door = prepare(place, program=program)
        try:
            apply(replace(node.machine, disk=FaultyDisk(Fuse(left=after))), door=door)
            whole += 1
        except Crash:
            pass
        if pending_run(node.machine) is not None:
            apply(node.machine, door=door)
        assert (door.drained(), door.closed) == (OPERATORS, False), after
        if whole:
            break
    assert whole
