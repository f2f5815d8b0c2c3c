"""Who counts as serving a model, for the floor of a rolling change."""

from __future__ import annotations

from fleet.control.actions.readiness import Readiness, seen_by_fronts
from fleet.control.rollout.capacity import Capacity
from fleet.errors import Unreachable
from fleet.testing.inventories import inventory_of
from fleet.vocabulary.contracts.gateway_admin import RouteReport, RouteReports, UpstreamReport
from fleet.vocabulary.names import NodeName, Track

ONE, TWO, THREE = (NodeName(f"mini-{number}") for number in (1, 2, 3))
INVENTORY = inventory_of("all:\n  hosts:\n    mini-1: {}\n    mini-2: {}\n    mini-3: {}\n")


def front(**states: str) -> RouteReports:
    """What a front says of the nodes that serve `chat`."""
    upstreams = tuple(
        UpstreamReport(name=f"{node}-chat", serves="chat", kind="edge", state=state, node=node.replace("_", "-"))
        for node, state in states.items()
    )
    return RouteReports(
        node="front", config_sha256="x", routes=(RouteReport(name="chat", track=Track.TOKEN, upstreams=upstreams),)
    )


def readiness(
    *reports: RouteReports, copies: int = 3, ran: tuple[NodeName, ...] = (ONE,), down: tuple[str, ...] = ()
) -> Readiness:
    """mini-1 is changed and takes `chat` away; the others are no part of the run."""

    def reach(node: object) -> None:
        if node.name in down:  # type: ignore[attr-defined]
            raise Unreachable("no answer")

    return Readiness(
        copies={"chat": frozenset((ONE, TWO, THREE)[:copies])},
        takes={ONE: frozenset({"chat"})},
        ran={"chat": frozenset(ran)},
        others=[INVENTORY.node(TWO), INVENTORY.node(THREE)],
        ask=lambda: reports,
        reach=reach,
    )


def test_a_front_that_answers_says_who_serves() -> None:
    seen = readiness(front(mini_1="ready", mini_2="down", mini_3="full")).look()
    assert seen["chat"] == {ONE, THREE}


def test_what_a_front_is_not_sure_of_is_as_the_run_saw_it() -> None:
    assert readiness(front(mini_1="unknown", mini_2="unknown", mini_3="drained")).look()["chat"] == {ONE}


def test_one_front_that_can_route_to_a_node_is_enough() -> None:
    seen = seen_by_fronts([front(mini_2="down"), front(mini_2="ready")], {"chat": frozenset()})
    assert seen["chat"] == {TWO}


def test_without_a_front_a_mate_that_can_be_reached_counts_and_one_that_cannot_does_not() -> None:
    assert readiness(down=("mini-2",)).look()["chat"] == {ONE, THREE}


def test_who_came_back_well_serves_unless_a_front_says_otherwise() -> None:
    well = frozenset({TWO})
    assert readiness(ran=(), down=("mini-2", "mini-3")).look(well)["chat"] == {TWO}
    assert readiness(front(mini_2="unknown"), ran=()).look(well)["chat"] == {TWO}
    assert readiness(front(mini_2="down"), ran=()).look(well)["chat"] == set()


def test_nobody_is_asked_about_a_single_copy_nor_for_a_change_that_stops_nothing() -> None:
    def ask() -> tuple[RouteReports, ...]:
        raise AssertionError("asked")

    single = readiness(copies=1)
    single = Readiness(**{**single.__dict__, "ask": ask})
    assert single.look() == {"chat": {ONE}}
    still = Readiness(**{**single.__dict__, "takes": {}})
    assert still.capacity() == Capacity(copies={"chat": frozenset({ONE})})
