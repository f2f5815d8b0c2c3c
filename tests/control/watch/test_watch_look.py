"""One look of `fleet status`, whole, at real agents. The clock is ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from loopbacklink import LoopbackLink, a_node

from fleet.control.inventory.node import Node
from fleet.control.watch.book import HealthBook
from fleet.control.watch.laptop import Wakes
from fleet.control.watch.poll import Poller
from fleet.control.watch.seen import SeenFiles
from fleet.control.watch.view import FleetView, Reach
from fleet.control.watch.watcher import Watcher
from fleet.errors import Unreachable
from fleet.testing.clock import FakeClock
from fleet.testing.mac import FakeMac
from fleet.vocabulary.eventfiles import EventFiles
from fleet.vocabulary.names import Freshness, Health, NodeName
from fleet.vocabulary.secret import Secret

GONE = Unreachable("cannot reach it: no answer in time")


class FakeNetwork:
    def __init__(self, *, up: bool = True) -> None:
        self.up = up

    def leads_to(self, address: str) -> bool:
        return self.up


class Laptop:
    """A command that looks again and again; `anew` is the next command."""

    def __init__(self, link: LoopbackLink, folder: Path, nodes: Mapping[NodeName, Node]) -> None:
        self.link, self.folder, self.nodes = link, folder, nodes
        self.clock = FakeClock(at=datetime.now(UTC))
        self.network = FakeNetwork()
        self.anew()

    def anew(self) -> None:
        self.watcher = Watcher(
            poller=Poller(self.link, token_for=lambda node: Secret(f"token of {node.name}"), clock=self.clock),
            seen=SeenFiles(self.folder / "seen"),
            book=HealthBook(self.folder / "events"),
            clock=self.clock,
            wakes=Wakes(self.clock),
            network=self.network,
            known=self.nodes,
            nodes=tuple(self.nodes.values()),
        )

    def look(self, *, after_seconds: float = 5.0) -> FleetView:
        self.clock.advance(after_seconds)
        return self.watcher.look()

    @property
    def told(self) -> list[tuple[str, str, Health]]:
        """What was told, but that the agents' clock, which is the real one, falls behind ours."""
        found = EventFiles(self.folder / "events").read()
        return [(one.node, one.check, one.after) for one in found if one.check != "clock_skew"]


@pytest.fixture
def mac() -> FakeMac:
    return FakeMac()


@pytest.fixture
def laptop(link: LoopbackLink, start_agent: Callable[..., int], tmp_path: Path, mac: FakeMac) -> Laptop:
    nodes = {NodeName(name): a_node(name, port=start_agent(name, mac)) for name in ("mini-1", "mini-2")}
    return Laptop(link, tmp_path / ".fleet", nodes)


def test_nodes_that_do_not_answer_are_stale_then_unreachable_and_said_so_once(
    laptop: Laptop, link: LoopbackLink
) -> None:
    assert {row.freshness for row in laptop.look().rows} == {Freshness.LIVE}
    assert laptop.told == []
    link.cut |= {"mini-1", "mini-2"}
    link.down |= {"mini-1": GONE}
    view = laptop.look()
    assert [(row.freshness, row.reach) for row in view.rows] == [
        (Freshness.STALE, Reach.UNREACHABLE),
        (Freshness.LIVE, Reach.ANSWERED),
    ]
    for _ in range(14):
        view = laptop.look()
    assert view.rows[0].freshness is Freshness.OFFLINE
    assert laptop.told == [("mini-1", "node_unreachable", Health.CRITICAL)]
    link.down.clear()
    laptop.anew()
    laptop.look()
    assert laptop.told[1:] == [("mini-1", "node_unreachable", Health.OK)]


def test_an_offline_laptop_blames_no_node_and_asks_again(laptop: Laptop, link: LoopbackLink) -> None:
    laptop.look()
    link.cut |= {"mini-1", "mini-2"}
    link.down |= {"mini-1": GONE, "mini-2": GONE}
    laptop.network.up = False
    for _ in range(30):
        view = laptop.look()
    assert (view.laptop_problem, view.exit_code) == ("it has no way out to any network", 4)
    laptop.network.up = True
    link.down.clear()
    view = laptop.look()
    assert (view.laptop_problem, {row.reach for row in view.rows}) == ("", {Reach.ANSWERED})
    assert laptop.told == [("", "laptop_offline", Health.CRITICAL), ("", "laptop_offline", Health.OK)]


def test_after_a_sleep_sessions_are_new_and_nodes_have_their_minute(laptop: Laptop, link: LoopbackLink) -> None:
    laptop.look()
    assert sorted(link.connects) == ["mini-1", "mini-2"]
    laptop.clock.at += timedelta(hours=8)
    link.down |= {"mini-1": GONE}
    laptop.look()
    assert sorted(link.connects) == ["mini-1", "mini-1", "mini-2", "mini-2"]
    assert laptop.told == []


@pytest.mark.parametrize("mac", [FakeMac(thermal=3)], ids=["hot"])
def test_since_is_that_of_the_command_before(laptop: Laptop) -> None:
    (first,) = (one for one in laptop.look().rows[0].concerns if one.code == "thermal")
    assert first.hint == "fleet drain mini-1 lets it cool; look at its fans, room and load"
    laptop.anew()
    (again,) = (one for one in laptop.look(after_seconds=600).rows[0].concerns if one.code == "thermal")
    assert again == first
