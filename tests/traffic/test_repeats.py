"""Requests that say they are one request are asked once, and memory of them is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.repeats import Kept, Repeat, Repeats

NAME = ("anna", "token-1")
ANSWER = Kept(b"answer", {"x-fleet-request-id": "req_1"})


def test_a_whole_answer_is_given_again() -> None:
    repeats = Repeats()
    assert repeats.begin(NAME, b"d", 0.0) is None
    assert repeats.begin(NAME, b"d", 1.0) is Repeat.RUNNING
    repeats.end(NAME, 2.0, whole=True, kept=ANSWER)
    assert repeats.begin(NAME, b"d", 3.0) == ANSWER
    assert repeats.begin(NAME, b"e", 3.0) is Repeat.OTHER
    assert repeats.begin(("ben", "token-1"), b"d", 3.0) is None


def test_what_failed_is_asked_anew() -> None:
    repeats = Repeats()
    repeats.begin(NAME, b"d", 0.0)
    repeats.end(NAME, 1.0, whole=False)
    assert repeats.begin(NAME, b"other", 2.0) is None


def test_a_stream_that_was_whole_is_not_asked_again() -> None:
    repeats = Repeats()
    repeats.begin(NAME, b"d", 0.0)
    repeats.end(NAME, 1.0, whole=True)
    assert repeats.begin(NAME, b"d", 2.0) is Repeat.DONE


def test_after_a_day_it_is_another_request_but_not_while_the_first_runs() -> None:
    repeats = Repeats()
    repeats.begin(NAME, b"d", 0.0)
    assert repeats.begin(NAME, b"d", 1e6) is Repeat.RUNNING
    repeats.end(NAME, 1e6, whole=True, kept=ANSWER)
    assert repeats.begin(NAME, b"d", 1e6 + 86_399) == ANSWER
    assert repeats.begin(NAME, b"d", 1e6 + 86_400) is None
    assert repeats.held_bytes == 0


STEPS = st.lists(
    st.tuples(st.integers(0, 12), st.booleans(), st.one_of(st.none(), st.integers(0, 400)), st.booleans()), max_size=80
)


@given(STEPS)
def test_at_most_one_of_a_name_runs_and_memory_is_bounded(steps: list[tuple[int, bool, int | None, bool]]) -> None:
    repeats = Repeats(most=5, most_bytes=1000, longest_bytes=300)
    running: set[tuple[str, str]] = set()
    for now, (number, begins, size, whole) in enumerate(steps):
        name = ("anna", str(number))
        if begins:
            found = repeats.begin(name, b"d", now)
            assert (found is Repeat.RUNNING) == (name in running)
            if found is None:
                running.add(name)
        elif name in running:
            running.discard(name)
            repeats.end(name, now, whole=whole, kept=None if size is None else Kept(b"x" * size, {}))
        kept = [known.kept for known in repeats._known.values() if known.kept is not None]
        assert repeats.held_bytes == sum(len(one.body) for one in kept) <= 1000
        assert all(len(one.body) <= 300 for one in kept)
        assert len(repeats) <= max(5, len(running) + 1)
