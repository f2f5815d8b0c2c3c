"""What a laptop remembers of a run: enough to go on with it after any step."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.control.playbook.strategy import LastCopy, OnFailure, Order, Pace
from fleet.control.rollout.batches import batches
from fleet.control.rollout.capacity import Capacity
from fleet.control.rollout.journal import Journal
from fleet.control.rollout.runrecord import RunRecord, RunStore
from fleet.control.rollout.walk import Walk
from fleet.errors import UsageError
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.events import Outcome, Phase
from fleet.vocabulary.names import NodeName, RunId

NODES = [NodeName(f"mac-{number}") for number in range(1, 5)]
SOME = st.frozensets(st.sampled_from(NODES))
PACES = st.builds(
    Pace,
    canary=st.integers(0, 2),
    max_unavailable=st.one_of(st.integers(1, 9), st.floats(0.01, 1.0)),
    order=st.sampled_from(Order),
    pause_seconds=st.floats(0, 9),
    pause_manual=st.booleans(),
    floor=st.integers(0, 3),
    last_copy=st.sampled_from(LastCopy),
    confirm_seconds=st.none() | st.floats(1, 60),
    on_failure=st.sampled_from(OnFailure),
)


def record(run_id: str, walk: Walk | None = None, **outcomes: Outcome) -> RunRecord:
    return RunRecord(
        run_id=RunId(run_id),
        began_at="2026-11-22T12:00:00+00:00",
        operator="me@here",
        playbook="site.yml",
        fleet_version="1.2.3",
        walk=walk or Walk(batches=()),
        states=dict.fromkeys(NODES, "a" * 64),
        outcomes={NodeName(name.replace("_", "-")): outcome for name, outcome in outcomes.items()},
    )


@settings(max_examples=50, deadline=None)  # it writes to a disk that others use too
@given(
    PACES,
    SOME,
    SOME,
    st.dictionaries(st.sampled_from(NODES), st.sampled_from(Outcome)),
    st.none() | st.lists(st.sampled_from(NODES)).map(tuple),
    st.dictionaries(st.text(max_size=3), SOME),
)
def test_a_walk_comes_back_from_the_disk_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    pace: Pace,
    out: frozenset[NodeName],
    mixed: frozenset[NodeName],
    ended: dict[NodeName, Outcome],
    undo: tuple[NodeName, ...] | None,
    copies: dict[str, frozenset[NodeName]],
) -> None:
    store = RunStore(tmp_path_factory.mktemp("runs"))
    walk = Walk(
        batches=batches([("all", pace, NODES)], dict.fromkeys(NODES, True)),
        capacity=Capacity(copies=copies, up=copies, takes={NODES[0]: frozenset(copies)}),
        ended=ended,
        out=out,
        mixed=mixed,
        undo=undo,
        stopped="mac-1 failed",
        cause=NODES[0],
    )
    store.save(record("r1", walk))
    assert store.one("r1").walk == walk


def test_a_record_is_for_its_owner_only_and_leaves_no_other_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        RunStore(tmp_path).save(record("r1"))
    finally:
        os.umask(before)
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_written_half_or_by_somebody_else_is_not_there(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.save(record("20260101T000000Z-aa"))
    (tmp_path / "20260102T000000Z-bb.json").write_text('{"run_id": "20260102T000000Z-bb"')
    (tmp_path / ".20260103T000000Z-cc.json.0a").write_text("{}")
    assert [one.run_id for one in store.all()] == ["20260101T000000Z-aa"]
    assert store.last().run_id == "20260101T000000Z-aa"


def test_a_run_is_found_by_the_beginning_of_its_id_unless_two_begin_so(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for name in ("20260101T000000Z-aa", "20260101T000000Z-ab", "20260102T000000Z-cc"):
        store.save(record(name))
    assert store.one("20260102").run_id == "20260102T000000Z-cc"
    assert store.one("last").run_id == "20260102T000000Z-cc"
    with pytest.raises(UsageError, match="may be"):
        store.one("20260101")
    with pytest.raises(UsageError, match="no run"):
        store.one("2027")


def test_whoever_is_not_as_it_should_be_is_to_be_retried(tmp_path: Path) -> None:
    ended = record(
        "r1", mac_1=Outcome.CHANGED, mac_2=Outcome.REVERTED, mac_3=Outcome.UNREACHABLE, mini_9=Outcome.FAILED
    )
    assert ended.to_retry == ("mac-2", "mac-3", "mac-4", "mini-9")


def test_a_run_is_live_while_its_journal_is_open_and_no_longer(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = RunId("r1")
    assert not store.is_live(run)
    journal = Journal(run, clock=FakeClock(), show=lambda _: None, path=store.journal(run))
    assert store.is_live(run)
    journal.close()
    assert not store.is_live(run)


def test_the_journal_of_a_run_that_is_taken_up_goes_on_counting_behind_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "r1.jsonl"
    shown: list[int] = []
    for _ in range(2):
        journal = Journal(RunId("r1"), clock=FakeClock(), show=lambda event: shown.append(event.seq), path=path)
        journal.say(Phase.APPLY, "note", "one")
        journal.say(Phase.APPLY, "note", "two")
        journal.close()
    assert shown == [1, 2, 3, 4]


def test_the_oldest_runs_go_with_their_events_and_nothing_else_does(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for number in range(5):
        store.save(record(f"2026010{number}T000000Z-aa"))
        store.journal(RunId(f"2026010{number}T000000Z-aa")).write_text("")
    store.journal(RunId("20260101T120000Z-bb")).write_text("")  # of a plan: it has no record
    store.prune(keep=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"2026010{number}T000000Z-aa.{suffix}" for number in (2, 3, 4) for suffix in ("json", "jsonl")
    ]
