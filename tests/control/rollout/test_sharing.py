"""Who gets which weights from whom: once from the laptop, no giver overrun, nobody left waiting for nobody."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.control.rollout.sharing import Sharing, Way
from fleet.vocabulary.names import NodeName

A, B, C, D = (NodeName(name) for name in "abcd")


def test_the_first_gets_it_from_the_laptop_and_the_others_wait_for_it() -> None:
    sharing = Sharing()
    first = sharing.choose(A, ["x"])
    assert first == Way(digest="x", giver=None)
    sharing = sharing.began(A, first)
    assert sharing.choose(B, ["x"]) is None
    sharing = sharing.ended(A, got=True)
    assert sharing.choose(B, ["x"]) == Way(digest="x", giver=A)


def test_of_several_blobs_each_is_sent_to_somebody_and_exchanged() -> None:
    sharing = Sharing().began(A, Way(digest="x", giver=None))
    assert sharing.choose(B, ["x", "y"]) == Way(digest="y", giver=None)
    sharing = sharing.began(B, Way(digest="y", giver=None)).ended(A, got=True)
    assert sharing.choose(A, ["y"]) is None
    assert sharing.choose(C, ["x", "y"]) == Way(digest="x", giver=A)
    assert sharing.ended(B, got=True).choose(A, ["y"]) == Way(digest="y", giver=B)


def test_the_rarest_comes_first_and_from_who_has_the_least_to_do() -> None:
    sharing = Sharing().holds(A, ["x", "y"]).holds(B, ["x"]).holds(C, ["x"])
    assert sharing.choose(D, ["x", "y"]) == Way(digest="y", giver=A)
    busy = sharing.began(NodeName("e"), Way(digest="x", giver=A)).began(NodeName("f"), Way(digest="x", giver=B))
    assert busy.choose(D, ["x"]) == Way(digest="x", giver=C)


def test_who_cannot_be_reached_is_asked_once_and_who_reaches_nobody_is_served_by_the_laptop() -> None:
    sharing = Sharing().holds(A, ["x"]).holds(B, ["x"]).holds(C, ["x"])
    sharing = sharing.began(D, Way(digest="x", giver=A)).ended(D, got=False, reached=False)
    assert sharing.choose(D, ["x"]) == Way(digest="x", giver=B)
    sharing = sharing.began(D, Way(digest="x", giver=B)).ended(D, got=False, reached=False)
    assert sharing.choose(D, ["x"]) == Way(digest="x", giver=None)


def test_what_a_giver_gave_wrong_it_is_not_asked_for_again_by_anybody() -> None:
    sharing = Sharing().holds(A, ["x", "y"]).began(B, Way(digest="x", giver=A)).ended(B, got=False)
    assert sharing.choose(C, ["x"]) == Way(digest="x", giver=None)
    assert sharing.choose(C, ["y"]) == Way(digest="y", giver=A)
    assert sharing.silent(A).choose(C, ["y"]) == Way(digest="y", giver=None)


@dataclass
class World:
    """Nodes that come and go, a network with holes, and givers that fail."""

    nodes: list[NodeName]
    blobs: list[str]
    deaf: frozenset[tuple[NodeName, NodeName]]
    sharing: Sharing
    lacking: dict[NodeName, list[str]]
    sent: Counter[str] = field(default_factory=Counter)
    failures: int = 0

    def start(self, node: NodeName) -> bool:
        way = self.sharing.choose(node, self.lacking[node])
        if way is None:
            assert self.sharing.ways, "it waits for nobody"
            return False
        assert way.digest in self.lacking[node]
        if way.giver is not None:
            assert way.digest not in self.lacking.get(way.giver, [])
            assert sum(one.giver == way.giver for one in self.sharing.ways.values()) < self.sharing.most_takers
        else:
            self.sent[way.digest] += 1
        self.sharing = self.sharing.began(node, way)
        return True

    def finish(self, node: NodeName, *, fails: bool) -> None:
        way = self.sharing.ways[node]
        if way.giver is not None and ((node, way.giver) in self.deaf or fails):
            self.failures += 1
            self.sharing = self.sharing.ended(node, got=False, reached=(node, way.giver) not in self.deaf)
            return
        self.lacking[node].remove(way.digest)
        self.sharing = self.sharing.ended(node, got=True)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 7),
    blobs=st.integers(1, 3),
    have=st.integers(0, 2),
    bad=st.booleans(),
)
def test_everybody_gets_everything_and_the_laptop_sends_once_when_nothing_fails(
    seed: int, count: int, blobs: int, have: int, bad: bool
) -> None:
    chance = Random(seed)
    nodes = [NodeName(f"n{number}") for number in range(count)]
    names = [f"b{number}" for number in range(blobs)]
    pairs = [(one, other) for one in nodes for other in nodes]
    deaf = frozenset(chance.sample(pairs, min(len(pairs), chance.randrange(7)))) if bad else frozenset()
    sharing = Sharing(most_takers=chance.randrange(1, 4))
    for node in nodes[:have]:
        sharing = sharing.holds(node, names)
    world = World(nodes, names, deaf, sharing, {node: list(names) for node in nodes[have:]})
    apart = False
    while any(world.lacking.values()):
        idle = [node for node, wants in world.lacking.items() if wants and node not in world.sharing.ways]
        for node in chance.sample(idle, len(idle)):
            world.start(node)
        assert world.sharing.ways, "nobody is at work, and something is lacking"
        world.finish(chance.choice(sorted(world.sharing.ways)), fails=bad and chance.random() < 0.3)
        apart = apart or (not world.sharing.given and len(world.sharing.blocked) >= 2)
    if not world.failures:
        assert all(times <= (0 if have else 1) for times in world.sent.values())
    assert sum(world.sent.values()) <= blobs * (count if apart else world.failures + 1)


def test_a_blob_reaches_many_nodes_in_few_rounds() -> None:
    nodes = [NodeName(f"n{number:02}") for number in range(40)]
    world = World(nodes, ["x"], frozenset(), Sharing(), {node: ["x"] for node in nodes})
    rounds = 0
    while any(world.lacking.values()):
        rounds += 1
        for node in nodes:
            if world.lacking[node]:
                world.start(node)
        for node in list(world.sharing.ways):
            world.finish(node, fails=False)
    assert world.sent == {"x": 1}
    assert rounds == 5  # 1, 3, 9, 27, 40


def test_where_no_node_reaches_another_the_laptop_serves_all_side_by_side() -> None:
    sharing = Sharing().holds(A, ["x"])
    for taker in (B, C):
        sharing = sharing.began(taker, Way(digest="x", giver=A)).ended(taker, got=False, reached=False)
    for taker in (B, C, D):
        way = sharing.choose(taker, ["x"])
        assert way == Way(digest="x", giver=None)
        sharing = sharing.began(taker, way)
    one_did = Sharing(given=frozenset([A])).holds(A, ["x"])
    for taker in (B, C):
        one_did = one_did.began(taker, Way(digest="x", giver=A)).ended(taker, got=False, reached=False)
    assert one_did.choose(D, ["x"]) == Way(digest="x", giver=A)
