"""How a run walks through its batches, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.control.playbook.strategy import LastCopy, OnFailure, Pace
from fleet.control.rollout import moves as w
from fleet.control.rollout.batches import Batch, batches
from fleet.control.rollout.capacity import Capacity
from fleet.control.rollout.walk import Walk, step
from fleet.vocabulary.contracts.events import Outcome
from fleet.vocabulary.names import NodeName

NODES = [NodeName(f"mac-{i}") for i in range(1, 7)]
CHANGED, FAILED, REVERTED = Outcome.CHANGED, Outcome.FAILED, Outcome.REVERTED
SKIPPED, UNREACHABLE = Outcome.SKIPPED, Outcome.UNREACHABLE


def rollout(pace: Pace, nodes: Iterable[NodeName] = NODES, *, lost: Iterable[NodeName] = ()) -> tuple[Batch, ...]:
    """The batches of one play over all nodes."""
    gone = set(lost)
    return batches([("all", pace, list(nodes))], {node: node not in gone for node in nodes}, lost=gone)


def serving(model: str, nodes: Iterable[NodeName]) -> Capacity:
    """One model that all these nodes serve and lose while they change."""
    have = frozenset(nodes)
    return Capacity(copies={model: have}, up={model: have}, takes=dict.fromkeys(have, frozenset({model})))


@dataclass
class Played:
    """A run whose nodes end as `fate` says; `told` is every command in order."""

    walk: Walk
    fate: Mapping[NodeName, w.Ended] = field(default_factory=dict)
    looks: int = 3
    told: list[w.Command] = field(default_factory=list)
    watch: Callable[[Walk, Walk], None] = lambda before, after: None
    choose: Callable[[list[NodeName]], NodeName] = lambda away: away[0]

    def run(self) -> Played:
        """To its end."""
        event: w.WalkEvent | None = w.Begun()
        while event is not None:
            before = self.walk
            self.walk, commands = step(self.walk, event)
            self.watch(before, self.walk)
            self.told += commands
            event = self._answer(commands)
        return self

    def _answer(self, commands: tuple[w.Command, ...]) -> w.WalkEvent | None:
        for command in commands:
            match command:
                case w.End():
                    assert not self.walk.away
                    return None
                case w.Rest():
                    return w.Rested()
                case w.Look():
                    self.looks -= 1
                    return w.Seen(up=self.walk.capacity.up, patience=self.looks > 0)
        node = self.choose(sorted(self.walk.away))
        if node in self.walk.undoing:
            return w.Undone(node=node, outcome=REVERTED)
        return self.fate.get(node) or w.Ended(node=node, outcome=CHANGED)

    @property
    def words(self) -> list[str]:
        """What was told, short."""
        names = {w.Start: "start", w.Undo: "undo", w.Skip: "skip"}
        return [f"{names[type(one)]} {one.node[-1]}" for one in self.told if isinstance(one, w.Start | w.Undo | w.Skip)]


def play(order: tuple[Batch, ...], *fates: w.Ended, capacity: Capacity | None = None, **ended: Outcome) -> Played:
    """A whole run."""
    known = {NodeName(name.replace("_", "-")): outcome for name, outcome in ended.items()}
    walk = Walk(batches=order, capacity=capacity or Capacity(), ended=known)
    return Played(walk, fate={fate.node: fate for fate in fates}).run()


def test_a_batch_waits_for_all_of_the_one_before() -> None:
    played = play(rollout(Pace(canary=1, max_unavailable=3), NODES[:5]))
    assert played.words == ["start 1", "start 2", "start 3", "start 4", "start 5"]
    assert [one.number for one in played.told if isinstance(one, w.Enter)] == [1, 2, 3]
    assert set(played.walk.ended.values()) == {CHANGED}


def test_an_unreachable_canary_has_failed_and_is_not_replaced() -> None:
    played = play(rollout(Pace(canary=1), NODES[:3], lost=NODES[:1]), mac_1=UNREACHABLE)
    assert played.words == ["skip 2", "skip 3"]
    assert "canary mac-1 is unreachable" in played.walk.stopped


def test_unreachable_nodes_count_against_max_unavailable() -> None:
    alone = rollout(Pace(max_unavailable=1), NODES[:3], lost=NODES[:1])
    assert play(alone, mac_1=UNREACHABLE).words == ["skip 2", "skip 3"]
    two = rollout(Pace(max_unavailable=2), NODES[:3], lost=NODES[:1])
    played = play(two, mac_1=UNREACHABLE)
    assert played.words == ["start 2", "start 3"]
    assert all(len(one.away) <= 1 for one in [played.walk])


def test_each_word_of_on_failure_brings_back_others() -> None:
    """mac-1 and mac-2 changed in the first batch, mac-3 in the second, where mac-4 ends neither new nor old."""
    fate = w.Ended(node=NODES[3], outcome=FAILED, mixed=True)
    back = {}
    for rule in OnFailure:
        played = play(rollout(Pace(max_unavailable=2, on_failure=rule)), fate)
        back[rule.value] = sorted(word for word in played.words if word.startswith("undo"))
        assert [word for word in played.words if word.startswith("skip")] == ["skip 5", "skip 6"]
    assert back == {
        "stop": [],
        "revert_node": ["undo 4"],
        "revert_batch": ["undo 3", "undo 4"],
        "revert_all": ["undo 1", "undo 2", "undo 3", "undo 4"],
    }


def test_who_is_still_out_when_another_fails_is_awaited_and_goes_back_with_its_batch() -> None:
    fate = w.Ended(node=NODES[0], outcome=REVERTED)
    played = play(rollout(Pace(max_unavailable=2, on_failure=OnFailure.REVERT_BATCH), NODES[:3]), fate)
    assert played.words == ["start 1", "start 2", "skip 3", "undo 2"]
    assert played.walk.ended == {NODES[0]: REVERTED, NODES[1]: REVERTED, NODES[2]: SKIPPED}


def test_the_last_copy_that_serves_stays_while_its_mate_is_away() -> None:
    capacity = serving("chat", NODES[:2])
    played = play(rollout(Pace(), NODES[:2]), capacity=capacity)
    assert played.words == ["start 1", "start 2"]
    one_down = replace(capacity, up={"chat": frozenset(NODES[1:2])})
    played = play(rollout(Pace(), NODES[1:2]), capacity=one_down)
    assert played.words == ["skip 2"]
    assert [one.why for one in played.told if isinstance(one, w.Skip)] == [
        "chat has 2 copies, and only mac-2 serves it now"
    ]


def test_a_single_copy_goes_is_refused_or_waits_as_the_strategy_says() -> None:
    capacity = serving("chat", NODES[:1])
    assert play(rollout(Pace(), NODES[:1]), capacity=capacity).words == ["start 1"]
    refused = play(rollout(Pace(last_copy=LastCopy.REFUSE), NODES[:1]), capacity=capacity)
    assert refused.words == ["skip 1"]
    assert not any(isinstance(one, w.Look) for one in refused.told)
    waited = play(rollout(Pace(last_copy=LastCopy.WAIT), NODES[:1]), capacity=capacity)
    assert sum(isinstance(one, w.Look) for one in waited.told) == 3
    assert waited.words == ["skip 1"]


def test_a_change_that_stops_no_sidecar_minds_no_floor() -> None:
    capacity = replace(serving("chat", NODES[:1]), takes={})
    assert play(rollout(Pace(last_copy=LastCopy.REFUSE), NODES[:1]), capacity=capacity).words == ["start 1"]


def test_who_waits_for_the_floor_goes_when_a_mate_serves_again() -> None:
    pace = Pace()
    capacity = replace(serving("chat", NODES[:2]), up={"chat": frozenset(NODES[1:2])})
    walk, commands = step(Walk(batches=rollout(pace, NODES[1:2]), capacity=capacity), w.Begun())
    assert isinstance(commands[-1], w.Look)
    walk, commands = step(walk, w.Seen(up={"chat": frozenset(NODES[:2])}))
    assert commands == (w.Start(node=NODES[1]),)


def test_a_pause_comes_between_batches_only() -> None:
    played = play(rollout(Pace(max_unavailable=2, pause_seconds=9.0), NODES[:3]))
    assert [one for one in played.told if isinstance(one, w.Rest)] == [w.Rest(batch=2, seconds=9.0)]
    manual = play(rollout(Pace(max_unavailable=2, pause_manual=True), NODES[:3]))
    assert [one for one in manual.told if isinstance(one, w.Rest)] == [w.Rest(batch=2, seconds=None)]


def test_a_run_that_is_ended_in_a_pause_brings_nothing_back() -> None:
    pace = Pace(max_unavailable=1, pause_manual=True, on_failure=OnFailure.REVERT_ALL)
    walk, _ = step(Walk(batches=rollout(pace, NODES[:2])), w.Begun())
    walk, commands = step(walk, w.Ended(node=NODES[0], outcome=CHANGED))
    assert commands == (w.Rest(batch=2, seconds=None),)
    walk, commands = step(walk, w.Rested(go_on=False))
    assert [type(one) for one in commands] == [w.Skip, w.End]
    assert walk.ended[NODES[0]] is CHANGED


def test_a_node_that_has_nothing_to_go_back_to_stays_changed() -> None:
    walk = Walk(batches=rollout(Pace(on_failure=OnFailure.REVERT_ALL), NODES[:2]))
    walk, _ = step(walk, w.Begun())
    walk, _ = step(walk, w.Ended(node=NODES[0], outcome=CHANGED))
    walk, commands = step(walk, w.Ended(node=NODES[1], outcome=REVERTED))
    assert commands == (w.Undo(node=NODES[0]),)
    walk, commands = step(walk, w.Undone(node=NODES[0], outcome=CHANGED))
    assert commands == (w.End(),)
    assert walk.ended == {NODES[0]: CHANGED, NODES[1]: REVERTED}


def test_one_that_may_serve_though_nobody_saw_it_yet_does_not_go_back_before_its_mate_serves() -> None:
    """mac-1 changed well; mac-2 is neither new nor old. Both go back, and never both at once."""
    capacity = replace(serving("chat", NODES[:2]), watched=True)
    order = rollout(Pace(max_unavailable=2, on_failure=OnFailure.REVERT_ALL), NODES[:2])
    walk, _ = step(Walk(batches=order, capacity=capacity), w.Begun())
    walk, _ = step(walk, w.Ended(node=NODES[0], outcome=CHANGED))
    walk, commands = step(walk, w.Seen(up=capacity.up))
    assert commands == (w.Start(node=NODES[1]),)
    walk, commands = step(walk, w.Ended(node=NODES[1], outcome=FAILED, mixed=True))
    assert [type(one) for one in commands] == [w.Undo]
    walk, commands = step(walk, w.Undone(node=NODES[1], outcome=REVERTED))
    assert [type(one) for one in commands] == [w.Look]
    walk, commands = step(walk, w.Seen(up=capacity.up))
    assert commands == (w.Undo(node=NODES[0]),)


PACES = st.builds(
    Pace,
    canary=st.integers(0, 2),
    max_unavailable=st.one_of(st.integers(1, 4), st.floats(0.1, 1.0)),
    floor=st.integers(0, 3),
    last_copy=st.sampled_from(LastCopy),
    on_failure=st.sampled_from(OnFailure),
    pause_seconds=st.sampled_from([0.0, 5.0]),
)
ENDS = st.sampled_from(
    [(CHANGED, False)] * 6 + [(REVERTED, False), (FAILED, False), (FAILED, True), (UNREACHABLE, False)]
)
SOME = st.sets(st.sampled_from(NODES))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_happens_the_promises_hold(data: st.DataObject) -> None:
    lost = data.draw(SOME.filter(lambda gone: len(gone) < 4), "lost")
    copies = {model: frozenset(data.draw(SOME, model)) for model in ("a", "b")}
    up = {model: frozenset(node for node in have - lost if data.draw(st.booleans())) for model, have in copies.items()}
    takes = {node: frozenset(model for model, have in copies.items() if node in have) for node in NODES}
    split = data.draw(st.integers(1, len(NODES)))
    plays = [("one", data.draw(PACES), NODES[:split]), ("two", data.draw(PACES), NODES[split:])]
    order = batches(plays, {node: node not in lost for node in NODES}, lost=lost)
    fate = {}
    for node in NODES:
        outcome, mixed = data.draw(ENDS, node)
        fate[node] = w.Ended(node=node, outcome=outcome, mixed=mixed)

    def promises(before: Walk, after: Walk) -> None:
        new = after.away - before.away
        for batch in order:
            away = after.away & set(batch.own)
            assert len(away) <= batch.at_once
            dead = {node for node in batch.own if after.ended.get(node) is UNREACHABLE and node not in after.away}
            if new & set(batch.own) & after.out:
                assert len(away | dead) <= batch.at_once
        for node in new - after.mixed:
            pace = after.batch_of(node).pace
            for model in takes[node]:
                have, still = after.capacity.up.get(model, frozenset()), after.capacity.serving(model, after.away)
                few = len(copies[model]) <= pace.floor and pace.last_copy is LastCopy.ALLOW
                counts = node in have or node in before.unproved
                assert not counts or len(still) >= (max(0, len(copies[model]) - 1) if few else pace.floor)
        assert not set(before.ended) - set(after.ended)

    walk = Walk(
        batches=order,
        capacity=Capacity(copies=copies, up=up, takes=takes, watched=data.draw(st.booleans(), "watched")),
        ended=dict.fromkeys(lost, UNREACHABLE),
    )
    played = Played(
        walk, fate=fate, watch=promises, choose=lambda away: data.draw(st.sampled_from(away), "who is done")
    ).run()
    todo = {node for batch in order for node in batch.nodes}
    assert set(played.walk.ended) == todo | lost
    started = [one.node for one in played.told if isinstance(one, w.Start)]
    skipped = [one.node for one in played.told if isinstance(one, w.Skip)]
    assert sorted(started + skipped) == sorted(todo - lost)
    canaries = [batch for batch in order if batch.canary]
    for batch in canaries:
        if lost & set(batch.nodes):
            assert not set(started) & {node for one in order if one.play == batch.play for node in one.nodes}
