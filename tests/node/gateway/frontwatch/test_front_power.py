"""The power of a node is switched only when it is dead by every sign, and we are not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.node.gateway.frontwatch.power import PowerBook, Signs, argv_for, decide
from fleet.traffic.config import Power

POWER = Power(argv=("/opt/power", "--node={node}", "{node}"), after_seconds=600, again_seconds=3600)
DEAD = Signs(answers=False, edge_dead_seconds=601, ssh_dead_seconds=601)
WELL = Signs(answers=True)
SEEN = PowerBook(ssh_answered=frozenset({"mini-1", "mini-2"}))


def test_a_node_whose_ssh_port_and_gateway_are_dead_is_switched_while_another_answers() -> None:
    assert decide(POWER, {"mini-1": DEAD, "mini-2": WELL}, SEEN, 0) == ("mini-1",)
    assert decide(POWER, {"mini-1": DEAD}, SEEN, 0, peer_answers=True) == ("mini-1",)


def test_when_nobody_else_answers_it_is_us() -> None:
    assert decide(POWER, {"mini-1": DEAD, "mini-2": DEAD}, SEEN, 0) == ()
    assert decide(POWER, {"mini-1": DEAD}, SEEN, 0) == ()


def test_one_sign_of_life_or_of_doubt_is_enough_to_leave_it_alone() -> None:
    for doubt in (
        Signs(answers=False, edge_dead_seconds=601),
        Signs(answers=False, ssh_dead_seconds=601),
        Signs(answers=False, edge_dead_seconds=601, ssh_dead_seconds=599),
        Signs(answers=True, edge_dead_seconds=601, ssh_dead_seconds=601),
    ):
        assert decide(POWER, {"mini-1": doubt, "mini-2": WELL}, SEEN, 0) == ()


def test_a_port_that_never_answered_this_front_proves_nothing_by_its_silence() -> None:
    assert decide(POWER, {"mini-1": DEAD, "mini-2": WELL}, PowerBook(), 0) == ()


def test_a_node_without_a_gateway_is_known_by_its_ssh_port_alone() -> None:
    bare = Signs(answers=False, ssh_dead_seconds=601, has_edge=False)
    assert decide(POWER, {"mini-1": bare, "mini-2": WELL}, SEEN, 0) == ("mini-1",)


def test_the_words_of_the_command_get_the_name_and_nothing_else_happens_to_them() -> None:
    assert argv_for(POWER, "mini-1") == ("/opt/power", "--node=mini-1", "mini-1")
    odd = Power(argv=("/bin/x", "{0} {nobody} $(ls) {node}"))
    assert argv_for(odd, "a") == ("/bin/x", "{0} {nobody} $(ls) a")


def maybe_dead() -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(0, 2000)


SIGNS = st.builds(
    Signs, answers=st.booleans(), edge_dead_seconds=maybe_dead(), ssh_dead_seconds=maybe_dead(), has_edge=st.booleans()
)


@given(st.dictionaries(st.sampled_from("abcd"), SIGNS), st.lists(st.floats(0, 9000), max_size=12), st.booleans())
def test_no_node_is_switched_twice_within_its_time_and_never_the_last_that_could_answer(
    signs: dict[str, Signs], moments: list[float], peer: bool
) -> None:
    book = PowerBook(ssh_answered=frozenset("abcd"))
    for now in sorted(moments):
        for node in decide(POWER, signs, book, now, peer_answers=peer):
            assert peer or any(one.answers for name, one in signs.items() if name != node)
            assert signs[node].ssh_dead_seconds is not None
            before = book.ran_seconds.get(node)
            assert before is None or now - before >= POWER.again_seconds
            book = PowerBook(ran_seconds={**book.ran_seconds, node: now}, ssh_answered=book.ssh_answered)
