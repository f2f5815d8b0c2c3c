"""A sidecar that falls far below what is usual on its node is told after a minute, and so is its way back.

A real agent learns the usual pace from what its gateway tells, and the pure health of people looks at its snapshots.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

from fleet.testing.admindoor import AdminDoor, admin_door
from fleet.vocabulary.contracts.agent import AgentSidecar
from fleet.vocabulary.contracts.gateway_admin import PaceRow
from fleet.vocabulary.contracts.snapshot import SidecarReading, Snapshot
from fleet.vocabulary.health.sample import Sample
from fleet.vocabulary.health.state import NodeState
from fleet.vocabulary.health.step import faults, step
from fleet.vocabulary.health.table import CHECKS
from fleet.vocabulary.names import Health
from tests.node.agent.conftest import TOKEN, RunningAgent

PORT = 1


@pytest.fixture
def door() -> Iterator[AdminDoor]:
    with admin_door(TOKEN) as one:
        one.window_seconds = 0.05
        yield one


def gives(door: AdminDoor, tokens_per_second: float) -> None:
    row = PaceRow(at_once=1, answers=4, tokens=400, seconds=400 / tokens_per_second)
    door.pace("sidecar.chat", PORT, rows=(row,))


def seen(agent: RunningAgent, wanted: Callable[[SidecarReading], bool]) -> Snapshot:
    """A snapshot whose sidecar is such. That there is no server behind it is not what is looked at."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        snapshot = msgspec.json.decode(agent.get("/v1/snapshot")[2], type=Snapshot)
        (car,) = snapshot.sidecars
        if wanted(car):
            alive = msgspec.structs.replace(car, live=True, ready=True, problem=None)
            return msgspec.structs.replace(snapshot, sidecars=(alive,))
        time.sleep(0.02)
    raise AssertionError(f"it never happened: {car}")


class Watching:
    """Somebody who looks at one snapshot again and again, at times of his own."""

    def __init__(self) -> None:
        self.state = NodeState(node="mini-1")
        self.now = 1_000_000.0

    def looks(self, snapshot: Snapshot, *, after_seconds: float) -> list[str]:
        """What is wrong after so many seconds of it, looked at every five."""
        until = self.now + after_seconds
        while True:
            self.now = min(self.now + 5, until)
            sample = Sample(at_seconds=self.now, snapshot=msgspec.structs.replace(snapshot, at_seconds=self.now))
            self.state, _ = step(self.state, sample, self.now)
            if self.now >= until:
                return [fault.check for fault in faults(self.state) if fault.check == "slow_decode"]


def test_a_tenth_of_the_usual_pace_is_told_after_a_minute_with_both_numbers_and_so_is_the_way_back(
    start: Callable[..., RunningAgent], door: AdminDoor
) -> None:
    gives(door, 50)
    car = AgentSidecar(name="sidecar.chat", model="m", serves="smol", port=PORT)
    agent = start(sidecars=(car,), gateway_admin_port=door.port)
    well = seen(agent, lambda one: one.pace_ratio is not None)
    watching = Watching()
    assert watching.looks(well, after_seconds=10) == []

    gives(door, 5)
    slow = seen(agent, lambda one: (one.pace_ratio or 1) < 0.2)
    assert watching.looks(slow, after_seconds=59) == []
    assert watching.looks(slow, after_seconds=10) == ["slow_decode"]
    fault = next(one for one in faults(watching.state) if one.check == "slow_decode")
    assert fault.health is Health.CRITICAL
    assert fault.text == "smol gives 5.0 tokens/s, on this node usually 50.0"
    assert CHECKS["slow_decode"].do == "fleet drain {node}; fleet logs {node} {subject}"

    gives(door, 49)
    back = seen(agent, lambda one: (one.pace_ratio or 0) > 0.9)
    assert watching.looks(back, after_seconds=50) == ["slow_decode"]
    assert watching.looks(back, after_seconds=20) == []


def test_a_slow_state_never_becomes_the_usual_one(start: Callable[..., RunningAgent], door: AdminDoor) -> None:
    gives(door, 50)
    car = AgentSidecar(name="sidecar.chat", model="m", serves="smol", port=PORT)
    agent = start(sidecars=(car,), gateway_admin_port=door.port)
    seen(agent, lambda one: one.pace_ratio is not None)
    gives(door, 20)
    seen(agent, lambda one: (one.pace_ratio or 1) < 0.5)
    for _ in range(20):
        snapshot = seen(agent, lambda one: one.decode_tokens_per_second == 20)
    assert snapshot.sidecars[0].baseline_tokens_per_second == pytest.approx(50)
