"""Which nodes change together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.batches import at_once, batches
from fleet.vocabulary.names import NodeName

NODES = [NodeName(f"mac-{i}") for i in range(1, 6)]
ALL_BUSY = dict.fromkeys(NODES, True)


def test_a_node_changes_with_the_last_play_that_names_it() -> None:
    plays = [("all", Pace(), NODES), ("front", Pace(), NODES[:1])]
    found = batches(plays, ALL_BUSY)
    assert [(b.play, b.nodes) for b in found] == [("all", tuple(NODES[1:])), ("front", (NODES[0],))]


def test_the_canary_goes_first_and_alone() -> None:
    found = batches([("mlx", Pace(canary=1, max_unavailable=2), NODES)], ALL_BUSY)
    assert [(b.canary, b.nodes) for b in found] == [
        (True, ("mac-1",)),
        (False, ("mac-2", "mac-3")),
        (False, ("mac-4", "mac-5")),
    ]


def test_a_node_with_nothing_to_do_is_in_no_batch() -> None:
    found = batches([("mlx", Pace(canary=1), NODES)], {NODES[0]: False, NODES[1]: True})
    assert [b.nodes for b in found] == [("mac-2",)]


def test_a_share_is_rounded_down_but_one_may_always_change() -> None:
    assert at_once(0.5, 5) == 2
    assert at_once(0.1, 5) == 1
    assert at_once(1.0, 5) == 5
    assert at_once(3, 2) == 2


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.one_of(st.integers(1, 6), st.floats(0.01, 1.0)),
            st.lists(st.sampled_from(NODES), unique=True),
        ),
        max_size=4,
    ),
    st.sets(st.sampled_from(NODES)),
)
def test_every_busy_node_that_a_play_names_is_in_exactly_one_batch_no_wider_than_allowed(
    plays: list[tuple[int, int | float, list[NodeName]]], busy: set[NodeName]
) -> None:
    named = [(str(i), Pace(canary=c, max_unavailable=m), nodes) for i, (c, m, nodes) in enumerate(plays)]
    found = batches(named, dict.fromkeys(busy, True))
    placed = [node for batch in found for node in batch.nodes]
    assert sorted(placed) == sorted(busy & {node for _, _, nodes in named for node in nodes})
    for batch in found:
        width = batch.pace.canary if batch.canary else at_once(batch.pace.max_unavailable, len(NODES))
        assert 1 <= len(batch.nodes) <= width
