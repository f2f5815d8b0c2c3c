from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.sensitivity.taint import Taints, session_hash, taint_note
from fleet.vocabulary.contracts.ledger import Note
from fleet.vocabulary.names import Sensitivity

DAY = 24 * 60 * 60 * 1000
SENSITIVE, RESTRICTED = Sensitivity.SENSITIVE, Sensitivity.RESTRICTED


def a_mark(subject: str = "s", *, at: int = 0, days: int = 30, label: Sensitivity = SENSITIVE) -> Note:
    return taint_note(subject, label=label, rules=("jwt",), now_milliseconds=at, days=days)


def test_a_mark_holds_until_its_day_and_not_longer() -> None:
    taints = Taints([a_mark(at=5, days=1)])
    assert taints.label("s", DAY + 4) is SENSITIVE
    assert taints.label("s", DAY + 5) is None
    assert taints.label("another", 0) is None


def test_a_higher_mark_that_lapses_leaves_the_lower_one() -> None:
    taints = Taints([a_mark(days=10), a_mark(days=1, label=RESTRICTED)])
    assert taints.label("s", 0) is RESTRICTED
    assert taints.label("s", 2 * DAY) is SENSITIVE


def test_a_note_of_another_kind_marks_nothing_and_one_that_is_unreadable_does() -> None:
    other = Note(id="x", kind="alert", subject="s", at_milliseconds=0)
    broken = Note(id="y", kind="taint", subject="s", at_milliseconds=0, data="{")
    assert Taints([other]).label("s", 0) is None
    assert Taints([broken]).label("s", 10**15) is SENSITIVE


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9), st.sampled_from([SENSITIVE, RESTRICTED]))), st.integers()
)
def test_neither_order_nor_repetition_of_notes_matters(marks: list[tuple[int, int, Sensitivity]], seed: int) -> None:
    notes = [a_mark(at=at * DAY, days=days, label=label) for at, days, label in marks]
    mixed = notes * 2
    random.Random(seed).shuffle(mixed)
    one, two = Taints(notes), Taints(mixed)
    for day in range(0, 110, 3):
        assert one.label("s", day * DAY) is two.label("s", day * DAY)


def test_sessions_whose_marks_lapsed_are_let_go() -> None:
    taints = Taints(a_mark(f"s{number}", at=number * DAY, days=1) for number in range(3000))
    assert len(taints) < 1100


def test_a_session_is_hashed_with_its_key() -> None:
    assert session_hash("ab", "c") != session_hash("a", "bc")
    assert len(session_hash("key", "\ud800")) == 32
