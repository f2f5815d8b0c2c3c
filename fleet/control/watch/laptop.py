"""Is it the nodes, or is it this laptop? It may have no network, or have slept just now."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Protocol

from fleet.control.inventory.node import Node
from fleet.control.watch.rows import Sighting
from fleet.control.watch.view import Reach
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName

SLEPT_SECONDS = 30.0
"""A wall clock that gained this much on the monotonic one: the machine slept (or the clock was set)."""
_ANYWHERE = ("192.0.2.1", "2001:db8::1")
"""Addresses of documentation: only a default route leads there."""
_TUNNELS = (ipaddress.ip_network("100.64.0.0/10"), ipaddress.ip_network("fd7a:115c:a1e0::/48"))
"""Tailscale's: its interface stands also without any network below it."""
_DISCARD_PORT = 9


class Network(Protocol):
    """The network of the machine that we run on."""

    def leads_to(self, address: str) -> bool:
        """Whether there is a route to a numeric address. Sends nothing."""
        ...


class OwnNetwork:
    """The network as the kernel knows it."""

    def leads_to(self, address: str) -> bool:
        """Whether there is a route to a numeric address: a UDP socket is connected, which sends nothing."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.connect((address, _DISCARD_PORT))
        except OSError:
            return False
        return True


def laptop_problem(nodes: Mapping[NodeName, Node], sightings: Mapping[NodeName, Sighting], network: Network) -> str:
    """Why it is this laptop's fault that nobody was reached, in words; "" when somebody was, or when it is not.

    Asks for routes only when every node failed. A node that refuses our key was reached.
    """
    tried = [sighting for sighting in sightings.values() if sighting.reach is not Reach.NOT_ADOPTED]
    if not tried or any(sighting.reach is not Reach.UNREACHABLE for sighting in tried):
        return ""
    numeric = [found for one in tried if (found := _numeric(nodes[one.node])) is not None]
    near = [str(address) for address in numeric if not any(address in tunnel for tunnel in _TUNNELS)]
    if not any(network.leads_to(address) for address in (*near, *_ANYWHERE)):
        return "it has no way out to any network"
    names = {nodes[one.node].settings.address or one.node for one in tried}
    if len(names) > 1 and all((one.problem or "").startswith("cannot find ") for one in tried):
        return "it cannot look up any of the nodes' names (DNS)"
    return ""


class Wakes:
    """Notices that the machine slept between two looks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall, self._monotonic = clock.now(), clock.monotonic()

    def slept(self) -> bool:
        """Whether it slept since the last call."""
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        gained = (wall - self._wall).total_seconds() - (monotonic - self._monotonic)
        self._wall, self._monotonic = wall, monotonic
        return gained > SLEPT_SECONDS


def _numeric(node: Node) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(node.settings.address or node.name)
    except ValueError:
        return None
