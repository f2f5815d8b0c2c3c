"""Many nodes are looked at through one front, by its clock; what it does not know is asked directly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopbacklink import LoopbackLink

from fleet.control.inventory.node import Node
from fleet.control.inventory.settings import NodeSettings
from fleet.control.watch.rows import Sighting, intent_of
from fleet.control.watch.viafront import AGAIN_SECONDS, ThroughFront, intents_in, sightings_of
from fleet.control.watch.view import Reach
from fleet.errors import Unreachable
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.gateway_admin import NodeWord, NodeWords, RouteReport, RouteReports, UpstreamReport
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.names import Intent, NodeName, Track
from fleet.vocabulary.secret import Secret

Serve = Callable[[bytes], tuple[int, list[bytes]]]
FRONT_SECONDS = 5_000_000.0
"""Its clock is years behind ours."""


def a_snapshot(node: str) -> Snapshot:
    return Snapshot(node=node, at_seconds=FRONT_SECONDS, agent_version="1", readings="macos")


def a_word(node: str, *, age: float = 2.0, problem: str = "", known: bool = True) -> NodeWord:
    heard = FRONT_SECONDS - age
    if not known:
        return NodeWord(node=node, problem=problem)
    return NodeWord(node=node, heard_at_seconds=heard, problem=problem, snapshot=a_snapshot(node))


def words(*nodes: NodeWord) -> NodeWords:
    return NodeWords(node="front-1", at_seconds=FRONT_SECONDS, nodes=nodes)


def an_answer(data: object, status: str = "200 OK") -> bytes:
    body = msgspec.json.encode(data)
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def a_node(name: str, *, port: int = 1) -> Node:
    settings = NodeSettings(host_key="ssh-ed25519 AAAA", gateway_admin_port=port)
    return Node(NodeName(name), ("all",), {}, settings, "fleet.yml:1:1")


class Direct:
    """Asks nodes itself, and remembers which."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def poll(self, nodes: Sequence[Node]) -> Mapping[NodeName, Sighting]:
        self.asked.append([node.name for node in nodes])
        return {node.name: Sighting(node=node.name, reach=Reach.UNREACHABLE, problem="no answer") for node in nodes}

    def session_of(self, node: NodeName) -> None:
        return None

    def close(self) -> None:
        pass


def through(link: LoopbackLink, direct: Direct, clock: FakeClock, *fronts: Node) -> ThroughFront:
    return ThroughFront(direct, link=link, fronts=fronts, key_for=lambda _: Secret("the key"), clock=clock)


NODES = [a_node(f"mini-{number}") for number in range(1, 4)]


def test_one_link_to_a_front_tells_of_all_nodes_and_the_silent_are_asked_directly(
    link: LoopbackLink, serve: Serve
) -> None:
    told = words(a_word("mini-1"), a_word("mini-2", problem="its edge does not answer"), a_word("else"))
    port, asked = serve(an_answer(told))
    direct, clock = Direct(), FakeClock()
    found = through(link, direct, clock, a_node("front-1", port=port)).poll(NODES)
    assert [*found] == ["mini-1", "mini-2", "mini-3"]
    assert (found[NodeName("mini-1")].reach, found[NodeName("mini-1")].via) == (Reach.ANSWERED, "front-1")
    assert direct.asked == [["mini-2", "mini-3"]]
    silent = found[NodeName("mini-2")]
    assert (silent.reach, silent.problem, silent.via, silent.seen) == (Reach.UNREACHABLE, "no answer", "front-1", None)
    assert silent.heard is not None
    assert found[NodeName("mini-3")].via == ""
    assert link.connects == ["front-1"]
    assert asked[0].startswith(b"GET /admin/nodes?brief=1 ")
    assert b"Bearer the key" in asked[0]


def test_another_front_is_asked_when_one_is_away_and_the_first_again_after_a_while(
    link: LoopbackLink, serve: Serve
) -> None:
    port, _ = serve(an_answer(words(*(a_word(node.name) for node in NODES))))
    link.down["front-1"] = Unreachable("cannot reach it")
    direct, clock = Direct(), FakeClock()
    poller = through(link, direct, clock, a_node("front-1", port=port), a_node("front-2", port=port))
    for _ in range(3):
        assert {one.reach for one in poller.poll(NODES).values()} == {Reach.ANSWERED}
    assert link.connects == ["front-1", "front-2"]
    link.down.clear()
    clock.advance(AGAIN_SECONDS + 1)
    poller.poll(NODES)
    assert link.connects == ["front-1", "front-2", "front-1"]
    assert direct.asked == [[]] * 4


@pytest.mark.parametrize(
    "answer",
    [an_answer({}, "404 Not Found"), an_answer({"node": 7}), b"SSH-2.0\r\n", b"", an_answer("x" * 20)],
    ids=["no door", "another version", "no HTTP", "nothing", "text"],
)
def test_without_a_front_that_answers_every_node_is_asked(link: LoopbackLink, serve: Serve, answer: bytes) -> None:
    port, _ = serve(answer)
    direct = Direct()
    found = through(link, direct, FakeClock(), a_node("front-1", port=port)).poll(NODES)
    assert direct.asked == [["mini-1", "mini-2", "mini-3"]]
    assert {one.via for one in found.values()} == {""}


def test_a_session_that_was_cut_is_made_anew_at_once(link: LoopbackLink, serve: Serve) -> None:
    port, _ = serve(an_answer(words(*(a_word(node.name) for node in NODES))))
    direct, clock = Direct(), FakeClock()
    poller = through(link, direct, clock, a_node("front-1", port=port))
    poller.poll(NODES)
    link.cut.add("front-1")
    assert {one.reach for one in poller.poll(NODES).values()} == {Reach.ANSWERED}
    assert link.connects == ["front-1", "front-1"]


@given(st.floats(0, 100), st.floats(-1e9, 1e9))
def test_ages_are_by_the_fronts_clock_whatever_that_shows(age: float, offset: float) -> None:
    at = FakeClock().now()
    word = NodeWord(node="mini-1", heard_at_seconds=FRONT_SECONDS + offset - age, snapshot=a_snapshot("mini-1"))
    found = sightings_of(NodeWords(node="front-1", at_seconds=FRONT_SECONDS + offset, nodes=(word,)), {}, at=at)
    one = found[NodeName("mini-1")]
    seen = one.seen or one.heard
    assert seen is not None
    assert abs((at - seen.at) - timedelta(seconds=age)) < timedelta(milliseconds=1)
    if abs(age - 15) > 0.01:
        assert (one.reach is Reach.ANSWERED) == (age < 15) == (one.seen is not None)


def test_a_sample_that_the_front_hears_again_is_as_old_as_when_it_came_first() -> None:
    """Else the node's clock would look late, and an agent that hangs behind a living edge well."""
    at = FakeClock().now()
    again = (msgspec.structs.replace(a_word(name), sample_age_seconds=age) for name, age in (("a", 4.0), ("b", 40.0)))
    found = sightings_of(words(*again), {}, at=at)
    fresh, hung = found[NodeName("a")], found[NodeName("b")]
    assert (fresh.seen and fresh.seen.at, fresh.reach) == (at - timedelta(seconds=6), Reach.ANSWERED)
    assert (hung.seen, hung.heard and hung.heard.at) == (None, at - timedelta(seconds=42))


def test_a_node_that_the_front_never_heard_has_no_sighting_and_one_from_the_future_is_of_now() -> None:
    at = FakeClock().now()
    found = sightings_of(words(a_word("a", known=False), a_word("b", age=-50)), {}, at=at)
    assert [*found] == ["b"]
    assert found[NodeName("b")].seen is not None
    assert found[NodeName("b")].seen.at == at  # type: ignore[union-attr]


def test_what_is_drained_shows_in_the_routes_of_the_front() -> None:
    def upstream(name: str, node: str, state: str) -> UpstreamReport:
        return UpstreamReport(name=name, serves="m", kind="edge", state=state, node=node)

    ups = (upstream("a", "mini-1", "drained"), upstream("b", "mini-2", "draining"), upstream("c", "", "down"))
    both = (upstream("d", "mini-3", "drained"), upstream("e", "mini-3", "full"))
    routes = tuple(RouteReport(name=name, track=Track.TOKEN, upstreams=(*ups, *both)) for name in ("x", "y"))
    found = intents_in(RouteReports(node="front-1", config_sha256="0", routes=routes))
    assert {name: intent_of(one) for name, one in found.items()} == {
        "mini-1": Intent.DRAINED,
        "mini-2": Intent.DRAINING,
        "mini-3": Intent.SERVING,
    }
