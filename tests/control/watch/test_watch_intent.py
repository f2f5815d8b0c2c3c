"""What is wanted of a node comes with its sample, on the same session; a gateway that cannot say it is no error."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from loopbacklink import LoopbackLink

from fleet.control.inventory.node import Node
from fleet.control.inventory.settings import NodeSettings
from fleet.control.watch.poll import Poller
from fleet.control.watch.rows import Sighting, intent_of, row_of
from fleet.errors import SupplyError
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.gateway_admin import NodeIntent, SidecarIntent
from fleet.vocabulary.contracts.snapshot import ServiceReading, Snapshot
from fleet.vocabulary.names import Intent, NodeName
from fleet.vocabulary.secret import Secret


def told(*intents: Intent) -> NodeIntent:
    sidecars = tuple(SidecarIntent(name=f"s{i}", intent=intent) for i, intent in enumerate(intents))
    return NodeIntent(node="mini-1", sidecars=sidecars)


def http_answer(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def a_snapshot(*services: ServiceReading) -> bytes:
    snapshot = Snapshot(node="mini-1", at_seconds=0.0, agent_version="0", readings="macos", services=services)
    return http_answer(msgspec.json.encode(snapshot))


def look(link: LoopbackLink, agent: int, admin: int, key_for: Callable[[Node], Secret] | None) -> Sighting:
    settings = NodeSettings(host_key="ssh-ed25519 AAAA", agent_port=agent, gateway_admin_port=admin)
    node = Node(NodeName("mini-1"), ("all",), {}, settings, "fleet.yml:1:1")
    poller = Poller(link, token_for=lambda _: Secret("t"), key_for=key_for, clock=FakeClock())
    try:
        return poller.poll([node])[node.name]
    finally:
        poller.close()


def key(_: Node) -> Secret:
    return Secret("the key")


GATEWAY = ServiceReading(name="gateway", label="g", up=True)


def test_the_intent_comes_with_the_sample_over_the_same_session(link, serve) -> None:
    agent, _ = serve(a_snapshot(GATEWAY))
    admin, asked = serve(http_answer(msgspec.json.encode(told(Intent.DRAINED))))
    sighting = look(link, agent, admin, key)
    assert row_of(a_watched(), sighting, None, FakeClock().now()).intent is Intent.DRAINED
    assert link.connects == ["mini-1"]
    assert asked[0].startswith(b"GET /admin/intent ")
    assert b"Bearer the key" in asked[0]


def a_watched() -> Node:
    return Node(NodeName("mini-1"), ("all",), {}, NodeSettings(), "fleet.yml:1:1")


@pytest.mark.parametrize(
    "answer", [http_answer(b"{}", "404 Not Found"), http_answer(b"<html>"), http_answer(b"{}"), b"SSH-2.0\r\n", b""]
)
def test_a_gateway_without_the_door_is_no_error(link, serve, answer) -> None:
    agent, _ = serve(a_snapshot(GATEWAY))
    admin, _ = serve(answer)
    sighting = look(link, agent, admin, key)
    assert (sighting.seen is not None, sighting.intent) == (True, None)


def test_nothing_listens_or_no_key_is_no_error(link, serve) -> None:
    agent, _ = serve(a_snapshot(GATEWAY))

    def no_key(_: Node) -> Secret:
        raise SupplyError("no fleet_key")

    assert look(link, agent, 1, key).seen is not None
    assert look(link, agent, 1, no_key).seen is not None


@pytest.mark.parametrize("services", [(), (ServiceReading(name="gateway", label="g", up=False),)])
def test_a_node_without_a_running_gateway_is_not_asked(link, serve, services) -> None:
    agent, _ = serve(a_snapshot(*services))
    admin, asked = serve(http_answer(b"{}"))
    assert look(link, agent, admin, key).intent is None
    assert asked == []


@pytest.mark.parametrize(
    ("intents", "intent"),
    [
        ((), Intent.SERVING),
        ((Intent.SERVING, Intent.DRAINED), Intent.SERVING),
        ((Intent.DRAINED, Intent.DRAINING), Intent.DRAINING),
        ((Intent.DRAINED, Intent.DRAINED), Intent.DRAINED),
    ],
)
def test_a_node_is_drained_when_all_of_it_is(intents, intent) -> None:
    assert intent_of(told(*intents)) is intent
    assert intent_of(None) is Intent.SERVING
