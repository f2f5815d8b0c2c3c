"""What may not be, or looks wrong, once every node's settings are known. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from fleet.control.inventory.finding import Finding
from fleet.control.inventory.node import Node
from fleet.control.inventory.policychecks import check_policy
from fleet.control.inventory.servingchecks import check_serving
from fleet.control.inventory.watchingchecks import check_watching
from fleet.errors import InventoryError
from fleet.vocabulary.hosts import is_loopback

Place = Callable[[Node, str], str]
"""Where a node got a variable from, as `file:line:column`; the node's own place for a default."""

_PORTS = ("ssh_port", "gateway_port", "gateway_admin_port", "agent_port")


def check_nodes(nodes: Iterable[Node], place: Place) -> Iterator[Finding]:
    """Check every node alone, then all of them together. Yields warnings; raises InventoryError."""
    nodes = tuple(nodes)
    names = frozenset(node.name for node in nodes)
    for node in nodes:
        _check_ports(node, place)
        _check_tls(node, place)
        check_serving(node, names)
        check_policy(node)
        check_watching(node)
    yield from _check_addresses(nodes, place)


def _check_ports(node: Node, place: Place) -> None:
    seen: dict[int, str] = {}
    for name in _PORTS:
        port = getattr(node.settings, name)
        if port is None:
            continue
        if port in seen:
            places = (place(node, name), place(node, seen[port]))
            raise InventoryError(
                f"{node.name}: {seen[port]} and {name} are both {port}",
                place=next((at for at in places if at != node.place), node.place),
                hint="give each its own port",
            )
        seen[port] = name


def _check_tls(node: Node, place: Place) -> None:
    settings = node.settings
    if settings.gateway_tls or is_loopback(settings.gateway_bind):
        return
    raise InventoryError(
        f"{node.name}: gateway_tls is false, but the gateway binds {settings.gateway_bind}",
        place=place(node, "gateway_tls"),
        detail="keys and prompts would cross the network in the clear",
        hint="take gateway_tls out, or set gateway_bind: 127.0.0.1",
    )


def _check_addresses(nodes: Iterable[Node], place: Place) -> Iterator[Finding]:
    """Two nodes at one address: one Mac written twice, a NAT with forwarded ports, or simulated Macs on loopback."""
    doors: dict[tuple[str, int], Node] = {}
    ports: dict[tuple[str, str, int], Node] = {}
    for node in nodes:
        address = node.address.lower()
        first = doors.setdefault((address, node.settings.ssh_port or 22), node)
        if first is not node:
            message = f"{node.name} and {first.name} are both {address} port {node.settings.ssh_port or 22}"
            yield Finding(place(node, "address"), "warning", message, "is it one Mac under two names?")
        for name in ("gateway_port", "gateway_admin_port", "agent_port"):
            other = ports.setdefault((address, name, getattr(node.settings, name)), node)
            if other is not node:
                yield from _same_port(node, other, name, place)


def _same_port(node: Node, other: Node, name: str, place: Place) -> Iterator[Finding]:
    """One port of one address. Behind forwarded ports it may be two Macs after all, as long as nobody dials it."""
    message = f"{node.name} and {other.name} are both {node.address} with {name} {getattr(node.settings, name)}"
    one_machine = is_loopback(node.address) or (node.settings.ssh_port or 22) == (other.settings.ssh_port or 22)
    dialled = name == "gateway_port" and not any(is_loopback(one.settings.gateway_bind) for one in (node, other))
    hosts = {(one.settings.gateway_url_host or one.address).lower() for one in (node, other)}
    if one_machine or (dialled and len(hosts) == 1):
        raise InventoryError(
            message,
            place=place(node, name),
            detail=f"{other.name} is at {other.place}, {node.name} at {node.place}",
            hint="give each node its own address, or its own ports",
        )
    yield Finding(place(node, name), "warning", message, "fine behind forwarded ports; else give each its own")
