"""Whose turn it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fleet.traffic.config import Queue
from fleet.traffic.fair_queue import BATCH_TURN, FairQueue
from fleet.vocabulary.names import Lane

INTERACTIVE, BATCH = Lane.INTERACTIVE, Lane.BATCH


def a_queue(*items: str, lane: Lane = INTERACTIVE) -> FairQueue[str]:
    """Items are named KEY + NUMBER: "a1" is the first of key a."""
    queue: FairQueue[str] = FairQueue()
    for item in items:
        assert queue.push(item, lane=lane, key=item[0], route="r")
    return queue


def drained(queue: FairQueue[str]) -> list[str]:
    found: list[str] = []
    while (item := queue.pop_if(lambda _: True)) is not None:
        found.append(item)
    return found


def test_keys_take_turns_and_each_is_served_in_order() -> None:
    assert drained(a_queue("a1", "a2", "a3", "b1", "c1", "b2")) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_interactive_goes_before_batch() -> None:
    queue = a_queue("a1", lane=BATCH)
    queue.push("b1", lane=INTERACTIVE, key="b", route="r")
    assert drained(queue) == ["b1", "a1"]


def test_one_turn_in_sixteen_is_batchs_first() -> None:
    queue = a_queue("b1", "b2", lane=BATCH)
    for number in range(40):
        queue.push(f"a{number}", lane=INTERACTIVE, key="a", route="r")
    order = drained(queue)
    assert order.index("b1") == BATCH_TURN - 1
    assert order.index("b2") == 2 * BATCH_TURN - 1


def test_who_waits_for_one_route_is_in_nobodys_way_to_another() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("stuck", lane=INTERACTIVE, key="a", route="full")
    queue.push("behind", lane=INTERACTIVE, key="a", route="free")
    assert queue.pop_if(lambda item: item != "stuck") == "behind"
    assert list(queue) == ["stuck"]


def test_nobody_overtakes_on_the_same_route() -> None:
    queue = a_queue("a1", "b1")
    assert queue.pop_if(lambda item: item == "b1") is None
    assert len(queue) == 2


def test_a_turn_on_one_route_is_a_turn_on_all() -> None:
    queue: FairQueue[str] = FairQueue()
    for item, route in (("a1", "x"), ("a2", "y"), ("b1", "y")):
        queue.push(item, lane=INTERACTIVE, key=item[0], route=route)
    assert drained(queue) == ["a1", "b1", "a2"]


def test_a_cancelled_request_touches_nobody_else() -> None:
    queue = a_queue("a1", "b1", "a2", "c1", "b2")
    assert queue.remove("b1")
    assert not queue.remove("b1")
    assert drained(queue) == ["a1", "b2", "c1", "a2"]


def test_too_many_in_all_or_of_one_key_are_sent_away() -> None:
    queue: FairQueue[str] = FairQueue(Queue(longest=3, per_key=2))
    pushed = [queue.push(item, lane=INTERACTIVE, key=item[0], route="r") for item in ("a1", "a2", "a3", "b1", "c1")]
    assert pushed == [True, True, False, True, False]
    queue.remove("a1")
    assert queue.push("a3", lane=INTERACTIVE, key="a", route="r")


@given(waiting=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(list(Lane))), max_size=60))
def test_everybody_is_served_once_and_nobody_is_lost(waiting: list[tuple[str, Lane]]) -> None:
    queue: FairQueue[int] = FairQueue()
    for number, (key, lane) in enumerate(waiting):
        queue.push(number, lane=lane, key=key, route="r")
    served: list[int] = []
    while (item := queue.pop_if(lambda _: True)) is not None:
        served.append(item)
    assert sorted(served) == list(range(len(waiting)))
    for key in "abc":
        for lane in Lane:
            mine = [number for number in served if waiting[number] == (key, lane)]
            assert mine == sorted(mine)


class FairQueueMachine(RuleBasedStateMachine):
    """Any order of coming, leaving and being served, on routes that have room or not."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[int] = FairQueue(Queue(longest=30, per_key=12))
        self.waiting: dict[int, tuple[Lane, str, str]] = {}
        self.passed_over: dict[tuple[Lane, str, str], set[str]] = {}
        self.number = 0

    @rule(lane=st.sampled_from(list(Lane)), key=st.sampled_from("abcd"), route=st.sampled_from("xy"))
    def one_comes(self, lane: Lane, key: str, route: str) -> None:
        self.number += 1
        mine = sum(one[1] == key for one in self.waiting.values())
        fits = len(self.waiting) < 30 and mine < 12
        assert self.queue.push(self.number, lane=lane, key=key, route=route) == fits
        if fits:
            if (lane, key, route) not in self.waiting.values():
                self.passed_over[lane, key, route] = set()
            self.waiting[self.number] = (lane, key, route)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def one_leaves(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.waiting)))
        self.gone(number)
        assert self.queue.remove(number)

    @rule(free=st.sets(st.sampled_from("xy")))
    def one_is_served(self, free: set[str]) -> None:
        number = self.queue.pop_if(lambda one: self.waiting[one][2] in free)
        if number is None:
            assert not any(spot[2] in free for spot in self.waiting.values())
            return
        lane, key, route = self.waiting[number]
        assert route in free
        assert number == min(one for one, spot in self.waiting.items() if spot == (lane, key, route))
        others = {spot for spot in self.waiting.values() if spot[0] == lane and spot[2] == route and spot[1] != key}
        for spot in others:
            assert key not in self.passed_over[spot], "a key had two turns while another waited for the same route"
        for spot in {spot for spot in self.waiting.values() if spot[0] == lane and spot[1] != key}:
            self.passed_over[spot].add(key)
        for spot in {spot for spot in self.waiting.values() if spot[:2] == (lane, key)}:
            self.passed_over[spot].clear()
        self.gone(number)

    def gone(self, number: int) -> None:
        spot = self.waiting.pop(number)
        if spot not in self.waiting.values():
            del self.passed_over[spot]

    @invariant()
    def it_holds_exactly_those_who_wait(self) -> None:
        assert sorted(self.queue) == sorted(self.waiting)
        for lane in Lane:
            assert self.queue.waiting(lane) == sum(spot[0] is lane for spot in self.waiting.values())


TestFairQueueMachine = FairQueueMachine.TestCase
