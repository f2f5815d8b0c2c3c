"""`fleet top` in a real terminal over a simulated fleet: with each fault the right row moves, says why and what to do.

Minutes: everything goes at its own pace, as for a person who looks (`make show-top`).
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from fleet.sim.simulation import Simulation
from tests.integration.conftest import Room, environment
from tests.integration.story import until
from tests.integration.tmux import TMUX, Tmux, in_tmux

pytestmark = [
    pytest.mark.model,
    pytest.mark.long,
    pytest.mark.xdist_group("room"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(TMUX is None, reason="tmux is not installed"),
]

SIZE = (160, 45)
WELL = "mac-1"
PREFIX = "org.fleet-macs."
PATIENCE_SECONDS = 180.0
LESS_WORK = "fleet drain {node}; then give its model less context, or move one away"


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A fault, and what the screen says of it. `kills`: this service is ended once the fault is there."""

    fault: str
    node: str
    state: str
    why: str
    do: str
    kills: str = ""
    stays: bool = True


TROUBLES = (
    Trouble(fault="thermal=2", node="mac-2", state="▲ warn", why="thermal pressure is heavy: it throttles",
            do="fleet drain {node} lets it cool; look at its fans, room and load"),
    Trouble(fault="pressure=4", node="mac-3", state="■ CRIT", why="memory pressure is critical", do=LESS_WORK),
    Trouble(fault="headroom=512MiB", node="mac-2", state="▲ warn", why="only 512 MiB left under the GPU wired limit",
            do=LESS_WORK),
    Trouble(fault="swap-rate=400MiB", node="mac-3", state="▲ warn", why="swapping out ", do=LESS_WORK),
    Trouble(fault="disk=0.04", node="mac-2", state="■ CRIT", why="only 37.3 GiB of 931 GiB left on /",
            do="fleet exec --on {node} -- df -h shows what is full"),
    Trouble(fault="clock=+90", node="mac-3", state="■ CRIT", why="ahead of this one",
            do="fleet doctor {node} says how to set it; let macOS set the time automatically"),
    Trouble(fault="crash=sidecar", node="mac-2", state="■ CRIT", why="sidecar.chat crashes again and again",
            do="fleet logs {node} sidecar.chat"),
    Trouble(fault="zombie=sidecar", node="mac-3", state="■ CRIT", why="scripted does not answer",
            do="fleet logs {node} sidecar.chat"),
    Trouble(fault="pended=inefficient", node="mac-3", state="■ CRIT", kills="sidecar.chat",
            why="sidecar.chat: launchd puts off its start (inefficient)", do="fleet deploy --on {node} starts it"),
    Trouble(fault="hold=agent", node="mac-2", state="■ SILENT", kills="agent", why="the agent is silent",
            do="fleet logs {node} agent"),
    Trouble(fault="down", node="mac-3", state="○ offline", why="refused",
            do="the machine is up but nothing listens on "),
    Trouble(fault="panic", node="mac-2", state="■ CRIT", why="after a kernel panic (panic-full-", stays=False,
            do="fleet doctor {node}; what panicked once panics again"),
    Trouble(fault="reboot", node="mac-3", state="▲ warn", why="it restarted at ", stays=False,
            do="fleet doctor {node}"),
)  # fmt: skip


@pytest.fixture(scope="module")
def screen(room: Room) -> Iterator[Tmux]:
    """Somebody looks, and all is well."""
    argv = [sys.executable, "-m", "fleet", "top"]
    given = {**environment(), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    with in_tmux(argv, folder=room.folder, environment=given, size=SIZE) as screen:
        until(lambda: all(row_of(screen, node) for node in ("mac-1", "mac-2", "mac-3")))
        yield screen


def rows(screen: Tmux) -> list[tuple[str, str]]:
    """Nodes and their states, from the top."""
    found = (re.match(r"\s*(mac-\d)\s+(\S \w+)", line) for line in screen.lines)
    return [(match[1], match[2]) for match in found if match]


def row_of(screen: Tmux, node: str) -> str:
    """The state of a node, as its row says."""
    return dict(rows(screen)).get(node, "")


def plain(text: str) -> str:
    """Text without the breaks of lines."""
    return " ".join(text.split())


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.fault)
def test_the_right_row_moves_and_says_why_and_what_to_do(room: Room, screen: Tmux, trouble: Trouble) -> None:
    simulation, node = Simulation(room.folder), trouble.node
    simulation.fault(node, trouble.fault)
    if trouble.kills:
        label = PREFIX + trouble.kills
        pid = until(lambda: simulation.status()["nodes"][node]["services"][label]["pid"])
        os.kill(pid, signal.SIGKILL)
    try:
        until(lambda: is_above(screen, trouble), within_seconds=PATIENCE_SECONDS)
        at_cursor(screen, node)
        screen.press("Enter")
        until(lambda: is_told(screen, trouble), within_seconds=PATIENCE_SECONDS)
    finally:
        screen.press("Escape")
        if trouble.stays:
            simulation.clear(node, trouble.fault.partition("=")[0])


def is_above(screen: Tmux, trouble: Trouble) -> bool:
    """Whether the row has the state, and stands above one that is well."""
    seen = rows(screen)
    order = [name for name, _ in seen]
    return {(trouble.node, trouble.state), (WELL, "● ok")} <= {*seen} and order.index(trouble.node) < order.index(WELL)


def is_told(screen: Tmux, trouble: Trouble) -> bool:
    """Whether the screen of the node is in front, and says why and what to do."""
    said = plain(screen.text)
    told = trouble.why in said and trouble.do.format(node=trouble.node) in said
    return said.startswith(trouble.node) and told


def at_cursor(screen: Tmux, node: str) -> None:
    """Move to the row of a node: what stands below the rows is about it then. Rows may move meanwhile."""

    def moved() -> bool:
        at = [name for name, _ in rows(screen)].index(node)
        screen.press("Home", *["Down"] * at)
        with suppress(AssertionError):
            return until(lambda: under(screen) == node, within_seconds=3.0)
        return False

    until(moved)


def under(screen: Tmux) -> str:
    """The node that the lines below the rows are about."""
    lines = screen.lines
    ruled = next((at for at, line in enumerate(lines) if line.startswith("────")), None)
    words = lines[ruled + 1].split() if ruled is not None and ruled + 1 < len(lines) else []
    return words[0] if words else ""
