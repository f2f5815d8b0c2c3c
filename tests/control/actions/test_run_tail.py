"""Following a run from elsewhere: every event once, and of a live one how far its bytes are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fleet.control.actions.runs import Tail
from fleet.control.rollout.journal import Journal, now_path
from fleet.control.rollout.runrecord import RunStore
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.events import Outcome, Phase, RunEvent
from fleet.vocabulary.names import RunId

RUN = RunId("20261122T120000Z-00000001")


def room(folder: Path) -> tuple[RunStore, Journal, FakeClock]:
    store, clock = RunStore(folder), FakeClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
    return store, Journal(RUN, clock=clock, show=lambda _: None, path=store.journal(RUN)), clock


def told(tail: Tail) -> list[tuple[str, str, int]]:
    return [(event.node, event.status, event.bytes_done) for event in tail.more()[1]]


def test_who_follows_sees_how_far_bytes_are_and_each_event_once(tmp_path: Path) -> None:
    store, journal, clock = room(tmp_path)
    tail = Tail(store, RUN)
    journal.say(Phase.SEND, "start", node="mac-1", total=100)
    journal.say(Phase.SEND, "progress", node="mac-1", done=10, total=100)
    assert told(tail) == [("mac-1", "start", 0), ("mac-1", "progress", 10)]
    assert told(tail) == []
    journal.say(Phase.SEND, "progress", node="mac-1", done=20, total=100)
    assert told(tail) == []  # within the same second nothing is written
    clock.sleep(1.0)
    journal.say(Phase.SEND, "progress", node="mac-1", done=30, total=100)
    assert told(tail) == [("mac-1", "progress", 30)]


def test_progress_that_its_node_has_left_behind_is_not_told(tmp_path: Path) -> None:
    store, journal, clock = room(tmp_path)
    journal.say(Phase.SEND, "progress", node="mac-1", done=10, total=100)
    journal.say(Phase.SEND, "ok", node="mac-1", done=100, total=100)
    assert told(Tail(store, RUN)) == [("mac-1", "ok", 100)]
    clock.sleep(1.0)
    journal.say(Phase.SEND, "progress", node="mac-2", done=5, total=100)
    assert told(Tail(store, RUN)) == [("mac-1", "ok", 100), ("mac-2", "progress", 5)]


def test_a_run_that_is_over_leaves_no_progress_and_one_that_was_killed_tells_none(tmp_path: Path) -> None:
    store, journal, _ = room(tmp_path)
    journal.say(Phase.SEND, "progress", node="mac-1", done=10, total=100)
    left = now_path(store.journal(RUN)).read_bytes()
    journal.close()
    assert not now_path(store.journal(RUN)).exists()
    now_path(store.journal(RUN)).write_bytes(left)  # as kill -9 leaves it
    assert Tail(store, RUN).more() == (False, ())


def test_a_run_without_a_journal_has_no_events(tmp_path: Path) -> None:
    assert Tail(RunStore(tmp_path), RUN).more() == (False, ())


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["mac-1", "mac-2"]),
        st.sampled_from(["start", "progress", "ok", "look"]),
        st.floats(0.0, 2.0),
    ),
    max_size=30,
)


@given(STEPS)
def test_however_often_somebody_looks_what_is_kept_is_told_once_and_in_order(
    tmp_path_factory: object, steps: list[tuple[str, str, float]]
) -> None:
    store, journal, clock = room(tmp_path_factory.mktemp("runs"))  # type: ignore[attr-defined]
    tail, seen, said = Tail(store, RUN), list[RunEvent](), 0
    for node, what, seconds in steps:
        clock.sleep(seconds)
        if what == "look":
            seen += tail.more()[1]
        else:
            journal.say(Phase.SEND, what, node=node, done=1, total=2)
            said += what != "progress"
    journal.say(Phase.DONE, "ok", node="mac-1", outcome=Outcome.CHANGED)
    journal.close()
    seen += tail.more()[1]
    kept = [event.seq for event in seen if event.status != "progress"]
    assert kept == sorted(set(kept))
    assert len(kept) == said + 1
    for node in ("mac-1", "mac-2"):
        own = [event.seq for event in seen if event.node == node]
        assert own == sorted(set(own))
