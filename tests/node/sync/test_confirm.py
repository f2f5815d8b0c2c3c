"""A run that is to be confirmed stays only when a new connection says so: laptops may die, and machines restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sync_kit import Node, Release, adopted
from test_recovery import SECOND, assert_whole, attempt, prepare
from test_session import a_release, frame, of, talk

from fleet.node.sync import releases
from fleet.node.sync.apply import apply
from fleet.node.sync.journal import read_events
from fleet.node.sync.pending import hand_over, read_request
from fleet.node.sync.tail import kick
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.questions import Confirm, Confirmed
from fleet.vocabulary.contracts.sync import Failed


def to_be_confirmed(node: Node, run_id: str, seconds: float = 60.0) -> None:
    request = read_request(node.machine, run_id)
    assert request is not None
    hand_over(node.machine, replace(request, confirm_seconds=seconds))


class Interrupted(FakeClock):
    """Does something once, when the run has waited that long for its confirmation."""

    def __init__(self, node: Node, run_id: str, after_seconds: float, do: object) -> None:
        super().__init__()
        self.node, self.run_id, self.after_seconds, self.do = node, run_id, after_seconds, do
        self.began: float | None = None

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.advance(seconds)
        if any(event.phase == "confirm" for event in read_events(self.node.machine, self.run_id)):
            self.began = self.began or self.elapsed
            if self.do is not None and self.elapsed - self.began >= self.after_seconds:
                do, self.do = self.do, None
                do()  # type: ignore[operator]


def waiting(node: Node, run_id: str, *, after_seconds: float, do: object) -> Node:
    """The node, with something that happens while the run waits."""
    clock = Interrupted(node, run_id, after_seconds, do)
    node.clock = node.mac.clock = clock
    node.machine = replace(node.machine, clock=clock)
    return node


def staged(node: Node, release: Release) -> str:
    node.watch(release)
    node.stage(release)
    run_id = node.request(release)
    to_be_confirmed(node, run_id)
    return run_id


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return adopted(tmp_path)


def test_a_run_that_is_confirmed_stays_and_says_so(node: Node) -> None:
    release = a_release(node)
    run_id = staged(node, release)
    said = []
    waiting(node, run_id, after_seconds=5, do=lambda: said.extend(talk(node, frame(Confirm(run_id=run_id)))))
    kick(node.machine)
    assert node.end().outcome == "committed"
    assert of(Confirmed, said).run_id == run_id
    confirms = [(event.status, event.text) for event in node.events() if event.phase == "confirm"]
    assert confirms == [
        ("start", "waits 60 s for a new connection to confirm it"),
        ("ok", "confirmed over a new connection"),
    ]
    assert of(Confirmed, talk(node, frame(Confirm(run_id=run_id)))).run_id == run_id


def test_a_run_that_nobody_confirms_goes_back(node: Node) -> None:
    old = a_release(node)
    assert node.deploy(old) == "committed"
    new = a_release(node, "two")
    run_id = staged(node, new)
    began = node.clock.elapsed
    assert apply(node.machine) == "reverted"
    assert node.clock.elapsed - began >= 60
    assert node.plan(old) == ()
    assert node.end().text == "nobody confirmed the run within 60 s"
    why = releases.why_bad(node.machine, new.state.state_id)
    assert why is not None
    assert "by a new connection" in why
    failed = of(Failed, talk(node, frame(Confirm(run_id=run_id))))
    assert (failed.code, failed.detail) == ("no_run", "it ended: reverted")


def test_the_time_in_which_the_node_slept_counts(node: Node) -> None:
    run_id = staged(node, a_release(node))
    waiting(node, run_id, after_seconds=1, do=lambda: node.clock.advance(3600))
    assert apply(node.machine) == "reverted"


def test_a_run_that_does_not_wait_cannot_be_confirmed(node: Node) -> None:
    run_id = staged(node, a_release(node))
    node.mac.errands.clear()
    failed = of(Failed, talk(node, frame(Confirm(run_id=run_id))))
    assert failed.detail == "it does not wait for a confirmation"
    assert of(Failed, talk(node, frame(Confirm(run_id="never")))).code == "no_run"


@settings(max_examples=15, deadline=None)
@given(after=st.integers(0, 160), confirmed=st.booleans(), reboot=st.booleans())
def test_a_run_that_dies_while_it_waits_ends_old_or_new(
    tmp_path_factory: pytest.TempPathFactory, after: int, *, confirmed: bool, reboot: bool
) -> None:
    node, old, new = prepare(tmp_path_factory.mktemp("node"), SECOND)
    to_be_confirmed(node, "run-2", 30.0)
    if confirmed:
        waiting(node, "run-2", after_seconds=2, do=lambda: talk(node, frame(Confirm(run_id="run-2"))))
    outcome = attempt(node, after)
    if outcome is None:
        said = any(Path(node.layout.run("run-2")).glob("confirmed"))
        if reboot:
            node.mac.reboot(node.layout.daemons_dir)
        outcome = attempt(node, None) or node.end().outcome
        assert outcome == "committed" or not said or any(event.phase == "revert" for event in node.events())
    else:
        assert outcome == ("committed" if confirmed else "reverted")
    assert_whole(node, old, new)
