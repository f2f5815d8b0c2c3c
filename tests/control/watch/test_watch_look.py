"""One look of `fleet status`, whole, at real agents. The clock is ours."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from loopbacklink import LoopbackLink, a_node

from fleet.control.inventory.node import Node
from fleet.control.watch.backfill import DUE_SECONDS, Backfill
from fleet.control.watch.book import HealthBook
from fleet.control.watch.laptop import Wakes
from fleet.control.watch.poll import Poller
from fleet.control.watch.rows import Seen, Sighting
from fleet.control.watch.seen import SeenFiles
from fleet.control.watch.seriesfiles import SeriesFiles
from fleet.control.watch.view import FleetView, Reach
from fleet.control.watch.watcher import Watcher
from fleet.errors import Unreachable
from fleet.testing.clock import FakeClock
from fleet.testing.mac import FakeMac
from fleet.vocabulary.contracts.gateway_admin import NodeIntent, SidecarIntent
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.eventfiles import EventFiles
from fleet.vocabulary.names import Freshness, Health, Intent, NodeName
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


def test_what_was_missed_is_asked_for_after_the_look_over_the_session_that_is_open(
    laptop: Laptop, link: LoopbackLink, tmp_path: Path
) -> None:
    files = SeriesFiles(tmp_path / "series")
    fill = Backfill(files, token_for=lambda node: Secret(f"token of {node.name}"), clock=laptop.clock)
    laptop.watcher = dataclasses.replace(laptop.watcher, backfill=fill)
    ends = time.monotonic() + 20
    while files.last_seconds(NodeName("mini-2")) is None and time.monotonic() < ends:
        laptop.look(after_seconds=DUE_SECONDS)
        laptop.watcher.catch_up()
    assert files.last_seconds(NodeName("mini-1")) is not None
    assert files.last_seconds(NodeName("mini-2")) is not None
    assert sorted(link.connects) == ["mini-1", "mini-2"]


class Told:
    """Says the same of every node, again and again."""

    def __init__(self, sighting: Sighting) -> None:
        self.sighting = sighting

    def poll(self, nodes: Sequence[Node]) -> Mapping[NodeName, Sighting]:
        return {node.name: dataclasses.replace(self.sighting, node=node.name) for node in nodes}

    def session_of(self, node: NodeName) -> None:
        return None

    def close(self) -> None:
        pass


def test_what_a_front_remembers_of_a_silent_node_is_shown_when_it_is_newer(laptop: Laptop) -> None:
    old, new = (Seen(at=laptop.clock.now() - timedelta(seconds=age), snapshot=a_snapshot(age)) for age in (500, 50))
    laptop.watcher.seen.save(NodeName("mini-1"), old)
    told = Told(Sighting(node=NodeName(""), reach=Reach.UNREACHABLE, problem="no answer", via="front-1", heard=new))
    laptop.watcher = dataclasses.replace(laptop.watcher, poller=told)
    row = laptop.look().rows[0]
    assert (row.via, row.freshness, row.age_seconds, row.chip) == ("front-1", Freshness.STALE, 55.0, "chip 50")


def test_a_drain_that_a_look_saw_is_an_event(laptop: Laptop) -> None:
    seen = Seen(at=laptop.clock.now(), snapshot=a_snapshot(0))
    for intent in (Intent.SERVING, Intent.DRAINED, Intent.DRAINED, Intent.SERVING):
        wish = NodeIntent(node="", sidecars=(SidecarIntent(name="s", intent=intent, since_seconds=2.0),))
        told = Told(Sighting(node=NodeName(""), reach=Reach.ANSWERED, seen=seen, intent=wish))
        laptop.watcher = dataclasses.replace(laptop.watcher, poller=told)
        assert {row.intent for row in laptop.look().rows} == {intent}
    found = [one for one in EventFiles(laptop.folder / "events").read() if one.check == "intent"]
    assert [(one.node, one.intent, one.at_seconds - one.since_seconds) for one in found] == [
        ("mini-1", Intent.DRAINED, 2.0),
        ("mini-2", Intent.DRAINED, 2.0),
        ("mini-1", Intent.SERVING, 2.0),
        ("mini-2", Intent.SERVING, 2.0),
    ]


def a_snapshot(number: int) -> Snapshot:
    return Snapshot(node="", at_seconds=0.0, agent_version="1", readings="macos", chip=f"chip {number}")
