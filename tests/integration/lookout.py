"""Somebody who watches a simulated fleet over real SSH, with a clock that passes when the story says so.

The Macs' clocks are set by the watcher's before every look (`fleet sim fault NODE clock=...`), and a look waits for
samples that were taken after that: so what takes a minute is told in a moment, to the second.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from fleet.control.inventory import Node, load_inventory
from fleet.control.inventory.project import find_project
from fleet.control.link.fabric_link import FabricLink
from fleet.control.link.protocol import Link, Session, Target, target_of
from fleet.control.watch.book import HealthBook
from fleet.control.watch.laptop import Wakes
from fleet.control.watch.poll import Poller
from fleet.control.watch.seen import SeenFiles
from fleet.control.watch.token import agent_token, gateway_key
from fleet.control.watch.watcher import Watcher
from fleet.errors import Unreachable
from fleet.sim.simulation import Simulation
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.health.state import Fault, NodeState
from fleet.vocabulary.health.step import faults
from fleet.vocabulary.health.table import RESTART_SHOWN_SECONDS
from tests.integration.conftest import Room
from tests.integration.story import until

AGENT = "org.fleet-macs.agent"
FAST_SECONDS, SLOW_SECONDS = 0.5, 2.0
_FRESH_SECONDS = 3.0
"""How near a sample's time is to ours: the Macs' clocks are set in whole seconds, and time goes on."""

Row = dict[str, Any]


@dataclass
class Cable:
    """The laptop's network: everything goes through it, also the question which ways lead anywhere."""

    link: Link
    plugged: bool = True

    def connect(self, target: Target, *, deadline_seconds: float = 15.0) -> Session:
        """A session, while it is plugged in."""
        if not self.plugged:
            raise Unreachable(f"cannot reach {target.address}: network is unreachable", node=target.node)
        return self.link.connect(target, deadline_seconds=deadline_seconds)

    def close(self) -> None:
        """Close the link."""
        self.link.close()

    def leads_to(self, address: str) -> bool:
        """Whether there is a way out."""
        return self.plugged


class OpenBook(HealthBook):
    """A book that also shows what is known of a node that is silent: a row shows what it said last."""

    states: Mapping[str, NodeState] = MappingProxyType({})

    def look(self, *words: Any, **named: Any) -> Mapping[str, NodeState]:
        """As of the book."""
        self.states = super().look(*words, **named)
        return self.states


@dataclass(kw_only=True)
class Lookout:
    """Watches the nodes of a room. `skews`: by how many seconds a Mac's clock is wrong on purpose."""

    room: Room
    simulation: Simulation
    nodes: Mapping[str, Node]
    cable: Cable
    poller: Poller
    watcher: Watcher
    book: OpenBook
    clock: FakeClock
    skews: dict[str, int] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    """Nodes that are not expected to answer."""
    laptop_problem: str = ""
    """What the last look said of the laptop itself."""

    def plant(self, node: str, *faults: str) -> None:
        """Bring trouble to a node."""
        for fault in faults:
            self.simulation.fault(node, fault)

    def clear(self, node: str, *names: str) -> None:
        """End trouble on a node."""
        for name in names:
            self.simulation.clear(node, name)

    def look(self, *, after_seconds: float = 0.0, settled: Callable[[], bool] = lambda: True) -> dict[str, Row]:
        """The rows of `fleet status --json` that long after the last look, once samples of then are there."""
        self.clock.advance(after_seconds)
        self._set_clocks()
        if self.cable.plugged:
            until(self._fresh, within_seconds=60)
            until(settled, within_seconds=60)
        view = msgspec.to_builtins(self.watcher.look())
        self.laptop_problem = view["laptop_problem"]
        return {row["node"]: row for row in view["rows"]}

    def unreachable(self, node: str) -> Fault | None:
        """What is told of a node that nobody reaches, once it is told."""
        known = faults(self.book.states[node])
        return next((fault for fault in known if fault.check == "node_unreachable"), None)

    def unplug(self) -> None:
        """Take the laptop off its network."""
        self.cable.plugged = False
        self.poller.close()

    def snapshot(self, node: str) -> Snapshot | None:
        """What the node's agent says now. Nobody remembers it."""
        found = self.poller.poll([self.nodes[node]])[self.nodes[node].name]
        return found.seen.snapshot if found.seen else None

    def until_snapshot(self, node: str, true: Callable[[Snapshot], object], *, within_seconds: float = 60) -> None:
        """Wait until the agent of a node says something."""
        until(lambda: (seen := self.snapshot(node)) is not None and true(seen), within_seconds=within_seconds)

    def deploy(self, node: str) -> None:
        """Deploy to a node, which makes its agent's configuration right again, and let it look often again."""
        self.room.fleet("deploy", "--on", node, "--yes")
        _hasten(self.room, self.simulation, node)

    def service(self, node: str, label: str) -> Mapping[str, Any]:
        """What the simulated launchd says of a service."""
        found: Mapping[str, Any] = self.simulation.status()["nodes"][node]["services"][label]
        return found

    def skew(self, node: str, seconds: int) -> None:
        """Make a node's clock wrong from the next look on; 0 = right again."""
        if seconds:
            self.skews[node] = seconds
        else:
            self.plant(node, f"clock={self._ahead_seconds():+d}")
            del self.skews[node]

    def _set_clocks(self) -> None:
        """By the fault where a clock is wrong, which moves a Mac's boot time, too; else time just passes."""
        ahead = self._ahead_seconds()
        for name in self.nodes:
            if name in self.skews:
                self.plant(name, f"clock={ahead + self.skews[name]:+d}")
                continue
            file = clock_file(self.room, name)
            part = file.with_suffix(".new")
            part.write_text(f"{ahead}\n")
            part.replace(file)

    def _ahead_seconds(self) -> int:
        return round(self.clock.now().timestamp() - time.time())

    def _fresh(self) -> bool:
        """Whether everybody's sample is of now, and the one before it, too: rates are known."""
        expected = [node for name, node in self.nodes.items() if name not in self.away]
        for name, sighting in self.poller.poll(expected).items():
            if sighting.seen is None:
                return False
            off = sighting.seen.snapshot.at_seconds - self.clock.now().timestamp() - self.skews.get(name, 0)
            if abs(off) > _FRESH_SECONDS or sighting.seen.snapshot.swap.swapout_bytes_per_second is None:
                return False
        return True


def clock_file(room: Room, node: str) -> Path:
    """Where a simulated Mac has how far its clock is ahead."""
    return room.node(node) / "sim" / "readings" / "clock.txt"


@contextmanager
def lookout(room: Room, folder: Path) -> Iterator[Lookout]:
    """Watch a room, with agents that look more often. Afterwards the room is as it was."""
    project = find_project(str(room.folder / "inventory"))
    inventory = load_inventory(project)
    begins = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=RESTART_SHOWN_SECONDS)
    clock = FakeClock(at=begins)  # what others did in the room is ten minutes ago
    cable = Cable(FabricLink(nodes=[target_of(node, base=project.root) for node in inventory.nodes.values()]))
    poller = Poller(cable, token_for=agent_token(project), key_for=gateway_key(project), clock=clock, base=project.root)
    book = OpenBook(folder / "events")
    watcher = Watcher(
        poller=poller,
        seen=SeenFiles(folder / "seen"),
        book=book,
        clock=clock,
        wakes=Wakes(clock),
        network=cable,
        known=inventory.nodes,
        nodes=tuple(inventory.nodes.values()),
    )
    simulation = Simulation(room.folder)
    nodes = {str(name): node for name, node in inventory.nodes.items()}
    before = {name: _hasten(room, simulation, name) for name in nodes}
    try:
        yield Lookout(
            room=room,
            simulation=simulation,
            nodes=nodes,
            cable=cable,
            poller=poller,
            watcher=watcher,
            book=book,
            clock=clock,
        )
    finally:
        poller.close()
        cable.close()
        (project.state_dir / "events" / "state.json").unlink(missing_ok=True)  # it would count what happened here
        for name, text in before.items():
            simulation.clear(name)
            clock_file(room, name).unlink(missing_ok=True)
            _give(room, simulation, name, text)


def _hasten(room: Room, simulation: Simulation, node: str) -> bytes:
    """Let the node's agent look often; its configuration as it was."""
    before = (room.root(node) / "etc" / "agent.json").read_bytes()
    changed = {**json.loads(before), "fast_seconds": FAST_SECONDS, "slow_seconds": SLOW_SECONDS}
    _give(room, simulation, node, json.dumps(changed).encode())
    return before


def _give(room: Room, simulation: Simulation, node: str, text: bytes) -> None:
    (room.root(node) / "etc" / "agent.json").write_bytes(text)
    os.kill(until(lambda: simulation.status()["nodes"][node]["services"][AGENT]["pid"]), signal.SIGHUP)
