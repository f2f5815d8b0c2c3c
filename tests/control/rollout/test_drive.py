"""How a walk is carried out: who works, what is told, what is saved before it is done."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from fleet.control.playbook.strategy import LastCopy, OnFailure, Pace
from fleet.control.rollout.batches import batches
from fleet.control.rollout.capacity import Capacity
from fleet.control.rollout.drive import Aids, Drive
from fleet.control.rollout.journal import Journal
from fleet.control.rollout.nodejob import NodeResult
from fleet.control.rollout.wake import Awake, SleepWatch, caffeinate
from fleet.control.rollout.walk import Walk
from fleet.errors import NodeError, Unreachable
from fleet.testing.clock import FakeClock
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.contracts.events import Outcome, RunEvent
from fleet.vocabulary.names import NodeName, RunId

NODES = [NodeName(f"mac-{number}") for number in range(1, 5)]


class Crew:
    """Nodes that end as the test says; `done` is the work in order."""

    def __init__(self, **ends: Outcome | Exception) -> None:
        self.ends = {NodeName(name.replace("_", "-")): end for name, end in ends.items()}
        self.done: list[str] = []
        self.cuts: list[NodeName] = []
        self._lock = threading.Lock()

    def _work(self, what: str, node: NodeName, otherwise: Outcome) -> NodeResult:
        with self._lock:
            self.done.append(f"{what} {node[-1]}")
        end = self.ends.get(node, otherwise) if what != "back" else otherwise
        if isinstance(end, Exception):
            raise end
        return NodeResult(name=node, outcome=end)

    def change(self, node: NodeName, pace: Pace) -> NodeResult:
        return self._work("change", node, Outcome.CHANGED)

    def attach(self, node: NodeName, pace: Pace) -> NodeResult:
        return self._work("attach", node, Outcome.CHANGED)

    def bring_back(self, node: NodeName, pace: Pace) -> NodeResult:
        return self._work("back", node, Outcome.REVERTED)

    def cut(self, node: NodeName) -> None:
        self.cuts.append(node)


def walk(pace: Pace, **more: object) -> Walk:
    return Walk(batches=batches([("all", pace, NODES)], dict.fromkeys(NODES, True)), **more)  # type: ignore[arg-type]


def drive(begin: Walk, crew: Crew, **aids: object) -> tuple[Walk, dict[NodeName, Outcome], list[RunEvent]]:
    """The walk at its end, the outcomes that were told, and the events."""
    told: dict[NodeName, Outcome] = {}
    events: list[RunEvent] = []
    clock = FakeClock()
    with ThreadPoolExecutor(4) as pool:
        end = Drive(
            begin,
            crew=crew,
            aids=Aids(finish=lambda result: told.update({result.name: result.outcome}), **aids),  # type: ignore[arg-type]
            pool=pool,
            journal=Journal(RunId("r1"), clock=clock, show=events.append),
            clock=clock,
        ).run()
    return end, told, events


def test_nodes_change_batch_by_batch_and_every_one_is_told_once() -> None:
    crew = Crew()
    _, told, events = drive(walk(Pace(canary=1, max_unavailable=1)), crew)
    assert crew.done == ["change 1", "change 2", "change 3", "change 4"]
    assert told == dict.fromkeys(NODES, Outcome.CHANGED)
    assert [event.text for event in events][:2] == ["canary (all): mac-1", "batch 2 of 4 (all): mac-2"]


def test_an_error_of_any_kind_is_its_nodes_end_and_stops_the_run() -> None:
    for error, outcome in (
        (Unreachable("gone"), "unreachable"),
        (NodeError("no"), "failed"),
        (KeyError("x"), "failed"),
    ):
        _, told, _ = drive(walk(Pace(max_unavailable=1)), Crew(mac_1=error))
        assert told == {NODES[0]: outcome, **dict.fromkeys(NODES[1:], Outcome.SKIPPED)}


def test_who_changed_goes_back_when_the_strategy_says_so() -> None:
    crew = Crew(mac_2=Outcome.REVERTED)
    _, told, _ = drive(walk(Pace(max_unavailable=1, on_failure=OnFailure.REVERT_ALL)), crew)
    assert crew.done == ["change 1", "change 2", "back 1"]
    assert told == {**dict.fromkeys(NODES[:2], Outcome.REVERTED), **dict.fromkeys(NODES[2:], Outcome.SKIPPED)}


def test_what_is_to_be_done_is_saved_before_it_is_done() -> None:
    crew, saved = Crew(), []

    def save(now: Walk) -> None:
        saved.append(now)
        begun = {NodeName(f"mac-{word[-1]}") for word in crew.done}
        assert begun <= now.out | set(now.ended)

    end, _, _ = drive(walk(Pace(max_unavailable=2)), crew, save=save)
    assert saved[0].out == set(NODES[:2])
    assert saved[-1] == end


def test_a_walk_that_any_save_left_comes_to_its_end_and_changes_no_node_twice() -> None:
    first, saved = Crew(), []
    drive(walk(Pace(max_unavailable=2)), first, save=saved.append)
    for left in saved:
        crew = Crew()
        end, _, _ = drive(left, crew)
        assert end.ended == dict.fromkeys(NODES, Outcome.CHANGED)
        assert sorted(crew.done) == sorted(
            [f"attach {node[-1]}" for node in left.out] + [f"change {node[-1]}" for node in left.waiting]
        )


def test_a_manual_pause_without_anybody_leaves_the_rest_for_a_resume() -> None:
    crew = Crew()
    end, told, _ = drive(walk(Pace(max_unavailable=3, pause_manual=True)), crew)
    assert sorted(crew.done) == ["change 1", "change 2", "change 3"]
    assert told[NODES[3]] is Outcome.SKIPPED
    assert end.waiting == (NODES[3],)
    again = Crew()
    end, _, _ = drive(end, again, ask=lambda batch: batch == 2)
    assert again.done == ["change 4"]
    assert not end.waiting


def test_who_says_no_in_a_pause_ends_the_run_there() -> None:
    end, told, _ = drive(walk(Pace(max_unavailable=3, pause_manual=True)), Crew(), ask=lambda _: False)
    assert told[NODES[3]] is Outcome.SKIPPED
    assert not end.waiting


def floored(**more: object) -> Walk:
    """Only mac-1 serves a model that mac-1 and mac-2 should serve."""
    pair = frozenset(NODES[:2])
    capacity = Capacity(copies={"chat": pair}, up={"chat": frozenset(NODES[:1])}, takes={NODES[0]: frozenset({"chat"})})
    return walk(Pace(max_unavailable=1, give_up_after_seconds=60.0, **more), capacity=capacity)  # type: ignore[arg-type]


def test_the_floor_is_looked_at_again_until_a_mate_is_back() -> None:
    answers = [frozenset(NODES[:1]), frozenset(NODES[:1]), frozenset(NODES[:2])]
    crew = Crew()
    _, told, events = drive(floored(), crew, look=lambda _: {"chat": answers.pop(0)})
    assert answers == []
    assert crew.done[0] == "change 1"
    assert told == dict.fromkeys(NODES, Outcome.CHANGED)
    assert sum("waits" in event.text for event in events) == 1


def test_a_node_that_the_floor_keeps_is_left_out_after_a_while_and_the_others_go() -> None:
    crew = Crew()
    _, told, _ = drive(floored(), crew, look=lambda _: {"chat": frozenset(NODES[:1])})
    assert told == {NODES[0]: Outcome.SKIPPED, **dict.fromkeys(NODES[1:], Outcome.CHANGED)}
    assert crew.done == ["change 2", "change 3", "change 4"]


def test_a_mate_goes_only_when_the_front_routes_to_the_one_that_came_back() -> None:
    pair = frozenset(NODES[:2])
    takes = dict.fromkeys(NODES[:2], frozenset({"chat"}))
    capacity = Capacity(copies={"chat": pair}, up={"chat": pair}, takes=takes, watched=True)
    answers = [frozenset(NODES[1:2]), frozenset(NODES[1:2]), pair]  # the front is slow to see mac-1 again
    looked: list[frozenset[NodeName]] = []

    def look(well: frozenset[NodeName]) -> dict[str, frozenset[NodeName]]:
        looked.append(well)
        return {"chat": answers.pop(0)}

    crew = Crew()
    _, told, _ = drive(walk(Pace(max_unavailable=1), capacity=capacity), crew, look=look)
    assert answers == []
    assert looked == [frozenset(NODES[:1])] * 3
    assert crew.done[:2] == ["change 1", "change 2"]
    assert told == dict.fromkeys(NODES, Outcome.CHANGED)


def test_where_nobody_can_look_nobody_waits() -> None:
    _, told, _ = drive(floored(last_copy=LastCopy.WAIT), Crew())
    assert told[NODES[0]] is Outcome.SKIPPED


def test_a_laptop_that_slept_is_seen_by_its_two_clocks() -> None:
    clock = FakeClock()
    watch = SleepWatch(clock)
    clock.advance(600)
    assert watch.look() == 0
    clock.at += timedelta(seconds=600)
    assert watch.look() == 600
    assert watch.look() == 0
    clock.at -= timedelta(seconds=600)
    assert watch.look() == 0


class Process:
    """A caffeinate that is played."""

    def __init__(self) -> None:
        self.ended = False

    def terminate(self) -> None:
        self.ended = True

    def wait(self, timeout: float | None = None) -> int:
        return 0


def test_a_mac_is_kept_awake_while_a_run_is_live_and_nothing_else_is() -> None:
    begun: list[Argv] = []
    process = Process()

    def spawn(argv: Argv) -> Process:
        begun.append(argv)
        return process

    with Awake(platform="linux", pid=7, spawn=spawn):
        assert begun == []
    with Awake(platform="darwin", pid=7, spawn=spawn):
        assert begun == [caffeinate(7)]
        assert not process.ended
    assert process.ended
    assert caffeinate(7).text == "/usr/bin/caffeinate -i -w 7"


def test_a_mac_that_cannot_be_kept_awake_is_no_reason_to_stop() -> None:
    def spawn(argv: Argv) -> Process:
        raise FileNotFoundError(argv.words[0])

    with Awake(platform="darwin", pid=7, spawn=spawn):
        pass
