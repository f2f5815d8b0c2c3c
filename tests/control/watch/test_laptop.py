"""Whose fault is it that nobody answers: the nodes' or this laptop's own?"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from fleet.control.inventory.node import Node
from fleet.control.inventory.settings import NodeSettings
from fleet.control.link import tcp
from fleet.control.link.deadline import Deadline
from fleet.control.watch.laptop import OwnNetwork, Wakes, laptop_problem
from fleet.control.watch.rows import Sighting
from fleet.control.watch.view import Reach
from fleet.errors import Unreachable
from fleet.testing.clock import FakeClock
from fleet.vocabulary.names import NodeName

ANYWHERE = "192.0.2.1"


@dataclass
class FakeNetwork:
    """Leads to the addresses in `routes`."""

    routes: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def leads_to(self, address: str) -> bool:
        self.asked.append(address)
        return address in self.routes


def problem(*tried: tuple[str, Reach], routes: set[str], text: str = "no answer in time") -> str:
    nodes, sightings = {}, {}
    for address, reach in tried:
        name = NodeName(f"n{address}")
        nodes[name] = Node(name, ("all",), {}, NodeSettings(address=address), "fleet.yml:1:1")
        sightings[name] = Sighting(node=name, reach=reach, problem=text)
    return laptop_problem(nodes, sightings, FakeNetwork(routes))


LAN = ("10.0.0.1", "10.0.0.2")
ALL_GONE = [(address, Reach.UNREACHABLE) for address in LAN]


def test_without_any_way_out_it_is_the_laptop() -> None:
    assert problem(*ALL_GONE, routes=set()) == "it has no way out to any network"


@pytest.mark.parametrize("routes", [{ANYWHERE}, {LAN[1]}, {"2001:db8::1"}])
def test_with_a_way_out_it_is_the_nodes(routes: set[str]) -> None:
    assert problem(*ALL_GONE, routes=routes) == ""


def test_one_node_that_was_reached_acquits_the_laptop_without_a_look_at_routes() -> None:
    for reach in (Reach.ANSWERED, Reach.AGENT_SILENT):
        assert problem(*ALL_GONE, ("10.0.0.3", reach), routes=set()) == ""
    network = FakeNetwork()
    assert laptop_problem({}, {}, network) == ""
    assert network.asked == []


def test_nodes_that_nobody_adopted_say_nothing() -> None:
    assert problem(("10.0.0.1", Reach.NOT_ADOPTED), routes=set()) == ""
    assert problem(("10.0.0.1", Reach.NOT_ADOPTED), *ALL_GONE, routes=set()) != ""


def test_a_tunnel_that_stands_without_a_network_is_no_way_out() -> None:
    assert problem(("100.101.102.103", Reach.UNREACHABLE), routes={"100.101.102.103"}) != ""


def test_names_that_cannot_be_found_are_dns_when_it_is_all_of_them() -> None:
    """In the words of the link itself."""
    with pytest.raises(Unreachable) as gone:
        tcp.connect("mini-1.invalid", 22, deadline=Deadline.after(5), node="mini-1")
    text = gone.value.title
    named = [("mini-1.invalid", Reach.UNREACHABLE), ("mini-2.invalid", Reach.UNREACHABLE)]
    assert problem(*named, routes={ANYWHERE}, text=text) == "it cannot look up any of the nodes' names (DNS)"
    assert problem(named[0], routes={ANYWHERE}, text=text) == ""


def test_this_machine_has_a_way_to_itself_and_none_to_nonsense() -> None:
    assert OwnNetwork().leads_to("127.0.0.1")
    assert not OwnNetwork().leads_to("999.0.0.1")


def test_a_wall_clock_that_gains_on_the_monotonic_one_means_that_it_slept() -> None:
    clock = FakeClock()
    wakes = Wakes(clock)
    clock.advance(300)
    assert not wakes.slept()
    clock.at += timedelta(hours=8)
    clock.advance(5)
    assert wakes.slept()
    assert not wakes.slept()
