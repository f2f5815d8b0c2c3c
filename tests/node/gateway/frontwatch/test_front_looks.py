"""What a front makes of what it heard: the same checks as the laptop, and doubt of itself when all fall silent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fleet.node.gateway.frontwatch.looks import (
    MOST_AT_ONCE,
    SAME_NODE_SECONDS,
    Answer,
    Look,
    Memory,
    due,
    look_of,
    restarted,
    turned,
)
from fleet.node.gateway.nodebook import Heard
from fleet.vocabulary.contracts.snapshot import Memory as MemoryReading
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.health.sample import Sample, Silence
from fleet.vocabulary.health.state import Transition

FRONT = "front-1"
START = 1_763_800_000.0


def snapshot(node: str, at: float, *, pressure: int = 1) -> Snapshot:
    return Snapshot(
        node=node, at_seconds=at, agent_version="1", readings="macos", memory=MemoryReading(pressure_level=pressure)
    )


def heard(node: str, at: float, *, problem: str = "", reached: bool = True, pressure: int = 1) -> Heard:
    if problem:
        return Heard(node=node, tried_at_seconds=at, problem=problem, reached=reached)
    shown = snapshot(node, at, pressure=pressure)
    return Heard(
        node=node, snapshot=shown, heard_at=at, new_at=at, heard_at_seconds=at, tried_at_seconds=at, reached=True
    )


@dataclass
class Observer:
    """Looks every five seconds."""

    now: float = START
    memory: Memory = field(default_factory=Memory)
    told: list[Transition] = field(default_factory=list)

    def look(
        self,
        *words: str,
        peers: Mapping[str, str] | None = None,
        doors: Mapping[str, str] | None = None,
        times: int = 1,
        pressure: int = 1,
        known: Iterable[str] = (),
    ) -> list[str]:
        """Words: `mini-1` answers, `-mini-1` is silent, `?mini-1` has a silent agent. What was told, in short."""
        before = len(self.told)
        for _ in range(times):
            self.now += 5
            names = [word.strip("-?") for word in words]
            lines = [
                heard(name, self.now, problem="no answer", reached=word[0] == "?")
                if word[0] in "-?"
                else heard(name, self.now, pressure=pressure)
                for word, name in zip(words, names, strict=True)
            ]
            fronts = {name: Answer(problem=problem) for name, problem in (peers or {}).items()}
            ports = {name: Answer(problem=problem) for name, problem in (doors or {}).items()}
            answering = {one.node: one.reached for one in lines if one.node != FRONT}
            answering |= {name: not one.problem for name, one in (fronts | ports).items()}
            look = Look(
                front=FRONT, heard=tuple(lines), peers=fronts, doors=ports, answering=answering,
                known={*names, *(known or ()), *fronts, *ports},
            )  # fmt: skip
            self.memory, told = turned(self.memory, look, self.now)
            self.told += told
        return [f"{one.node} {one.check} {one.after.value}" for one in self.told[before:]]


def test_a_silent_node_is_told_after_a_minute_and_its_return_at_once() -> None:
    front = Observer()
    assert front.look("mini-1", "mini-2") == []
    assert front.look("-mini-1", "mini-2", times=11) == []
    assert front.look("-mini-1", "mini-2") == ["mini-1 node_unreachable critical"]
    assert front.look("-mini-1", "mini-2", times=5) == []
    assert front.look("mini-1", "mini-2") == ["mini-1 node_unreachable ok"]


def test_an_edge_that_answers_without_a_snapshot_is_a_silent_agent() -> None:
    front = Observer()
    front.look("mini-1", "mini-2")
    assert front.look("?mini-1", "mini-2", times=3) == ["mini-1 agent_silent critical"]
    assert look_of(heard(FRONT, 1, problem="x", reached=False), own=True) == Silence(agent_only=True, problem="x")


def test_a_front_says_what_the_laptop_would_say_of_the_same_sample() -> None:
    front = Observer()
    front.look("mini-1")
    assert front.look("mini-1", pressure=4, times=3) == ["mini-1 memory_pressure critical"]
    assert front.told[-1].text == "memory pressure is critical"
    assert front.told[-1].do == "fleet drain mini-1; then give its model less context, or move one away"


def test_when_all_others_fall_silent_together_it_is_this_front() -> None:
    front = Observer()
    front.look(FRONT, "mini-1", "mini-2")
    assert front.look(FRONT, "-mini-1", "-mini-2", times=40) == ["front-1 front_alone critical"]
    assert front.look(FRONT, "mini-1", "mini-2") == ["front-1 front_alone ok"]
    assert front.look(FRONT, "-mini-1", "mini-2", times=10) == []
    assert front.look(FRONT, "-mini-1", "mini-2", times=4) == ["mini-1 node_unreachable critical"]


def test_a_node_that_was_dead_before_the_front_was_cut_off_is_not_called_back_by_that() -> None:
    front = Observer()
    front.look("mini-1", "mini-2")
    front.look("-mini-1", "mini-2", times=14)
    front.look("-mini-1", "-mini-2", times=3)
    assert front.look("-mini-1", "mini-2", times=20) == []
    front.memory = restarted(front.memory, front.now + 900)
    front.now += 900
    assert front.look("-mini-1", "mini-2", times=20) == []
    assert front.look("mini-1", "mini-2") == ["mini-1 node_unreachable ok"]


def test_a_restart_repeats_nothing_forgets_nothing_and_blames_nobody_for_its_own_absence() -> None:
    front = Observer()
    front.look("mini-1", "mini-2")
    front.look("mini-1", "mini-2", pressure=4, times=3)
    front.memory = restarted(front.memory, front.now + 600)
    front.now += 600
    assert front.look("mini-1", "-mini-2", pressure=4, times=3) == []
    over = ["mini-1 memory_pressure ok", "mini-2 memory_pressure ok"]
    assert sorted(front.look("mini-1", "mini-2", times=8)) == over


def test_a_front_that_restarts_while_it_is_cut_off_says_so_once() -> None:
    front = Observer()
    front.look("mini-1", "mini-2")
    assert front.look("-mini-1", "-mini-2", times=14) == ["front-1 front_alone critical"]
    front.memory = restarted(front.memory, front.now)
    nobody_knows = Look(
        front=FRONT,
        heard=(),
        peers={},
        doors={},
        answering={"mini-1": None, "mini-2": False},
        known={"mini-1", "mini-2"},
    )
    front.memory, told = turned(front.memory, nobody_knows, front.now + 1)
    assert told == ()
    assert front.look("-mini-1", "-mini-2", times=14) == []
    assert front.look("mini-1", "-mini-2") == ["front-1 front_alone ok"]


def test_a_silent_front_is_told_once_and_not_as_a_node_besides() -> None:
    front = Observer()
    front.look("mini-1", "front-2", peers={"front-2": ""})
    silent = {"front-2": "connection refused"}
    assert front.look("mini-1", "-front-2", peers=silent, times=20) == ["front-2 front_silent critical"]
    assert front.told[-1].text == "the front is silent: connection refused"
    assert front.look("mini-1", "front-2", peers={"front-2": ""}) == ["front-2 front_silent ok"]


def test_a_node_without_a_gateway_is_known_by_its_ssh_port() -> None:
    front = Observer()
    assert front.look("mini-1", doors={"store-1": "no answer"}, times=13) == ["store-1 node_unreachable critical"]
    assert front.look("mini-1", doors={"store-1": ""}) == ["store-1 node_unreachable ok"]


def test_what_is_no_longer_watched_is_over() -> None:
    front = Observer()
    front.look("mini-1", "mini-2", peers={"front-2": ""})
    front.look("mini-1", "-mini-2", peers={"front-2": "gone"}, times=14)
    assert sorted(front.look("mini-1")) == ["front-2 front_silent ok", "mini-2 node_unreachable ok"]
    assert set(front.memory.nodes) == {"mini-1"}


def test_one_other_that_is_silent_may_just_be_dead() -> None:
    front = Observer()
    front.look(FRONT, "mini-1")
    assert front.look(FRONT, "-mini-1", times=13) == ["mini-1 node_unreachable critical"]


def test_the_text_says_whether_the_ssh_port_answers() -> None:
    dead = heard("mini-1", 1, problem="connection refused", reached=False)
    for problem, said in (("", "its SSH port answers"), ("no route", "its SSH port is dead too")):
        look = look_of(dead, own=False, ssh=Answer(problem=problem))
        assert look == Silence(problem=f"connection refused; {said}")
    assert look_of(dead, own=False) == Silence(problem="connection refused")


def test_a_sample_that_comes_again_keeps_its_age_and_one_never_tried_says_nothing() -> None:
    again = Heard(
        node="a", snapshot=snapshot("a", 90), heard_at=30, new_at=20, heard_at_seconds=100, tried_at_seconds=100
    )
    assert look_of(again, own=False) == Sample(at_seconds=90, snapshot=snapshot("a", 90))
    assert look_of(Heard(node="a"), own=False) is None


def test_of_many_nodes_a_few_at_a_time_are_looked_at_and_each_gets_its_turn() -> None:
    names = [f"mini-{number}" for number in range(5 * MOST_AT_ONCE)]
    looked: dict[str, float] = {}
    rounds = []
    for _ in range(6):
        now = due((heard(name, START) for name in names), looked)
        looked |= {one.node: one.tried_at_seconds or 0 for one in now}
        rounds.append(len(now))
    assert rounds == [MOST_AT_ONCE] * 5 + [0]
    assert set(looked) == set(names)
    assert due([heard("mini-1", START + SAME_NODE_SECONDS - 1)], looked) == ()
    assert len(due([heard("mini-1", START + SAME_NODE_SECONDS)], looked)) == 1
    assert len(due([heard("mini-1", START - 3600)], looked)) == 1
    assert due([Heard(node="mini-1")], looked) == ()
