"""A run over nodes that are played: what is asked, what is sent, how a cut and a failure end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest

from fleet.control.desired.states import Compiled
from fleet.control.link.frames import encode_frame
from fleet.control.link.protocol import Target
from fleet.control.playbook.strategy import OnFailure, Pace
from fleet.control.rollout.batches import batches
from fleet.control.rollout.capacity import Capacity
from fleet.control.rollout.conversation import Conversation, SyncPart, helper_argv
from fleet.control.rollout.journal import Journal
from fleet.control.rollout.nodejob import NodeJob
from fleet.control.rollout.run import Run
from fleet.control.rollout.terms import Terms
from fleet.control.rollout.walk import Walk
from fleet.errors import NodeError, NotAdopted, ProtocolError, Unreachable
from fleet.testing.clock import FakeClock
from fleet.testing.link import FakeChannel, FakeLink, FakeSession
from fleet.vocabulary.contracts import frames, questions, sync
from fleet.vocabulary.contracts.codec import decode
from fleet.vocabulary.contracts.desired import Blob, DesiredState, File
from fleet.vocabulary.contracts.events import Outcome, RunEvent
from fleet.vocabulary.layout import NodeLayout
from fleet.vocabulary.names import NodeName, RunId

LAYOUT = NodeLayout(owner="admin")
TEXT = b"listen 8790\n"
DIGEST = "sha256:" + hashlib.sha256(TEXT).hexdigest()
STATE = DesiredState(
    node="mac",
    layout=LAYOUT,
    interpreter="/opt/python3",
    items=(
        File(
            task="conf",
            path="/opt/fleet/etc/a.conf",
            blob=Blob(digest=DIGEST, size=len(TEXT)),
            mode=0o644,
            owner="admin",
            group="staff",
        ),
    ),
)
OLD = replace(STATE, interpreter="/opt/python2")
STEP = sync.Step(
    key="file:/opt/fleet/etc/a.conf", kind_of="file", action="update", task="conf", reason="content differs"
)
SYNC = SyncPart(digest="a" * 64, content=b"the zipapp")
NODES = [NodeName("mac-1"), NodeName("mac-2"), NodeName("mac-3")]


class Node:
    """A node's helper, played: what it was asked, and how its run ends."""

    def __init__(self, *, idle: bool = False, outcome: str = "committed", cut_after: int | None = None) -> None:
        self.idle, self.outcome, self.cut_after = idle, outcome, cut_after
        self.lose_commit = False
        self.bad: str | None = None
        self.live: str | None = None
        self.asks = False
        self.went_back: list[tuple[str, str, str]] = []
        self.confirmed: list[str] = []
        self.commands: list[str] = []
        self.received: dict[str, bytes] = {}
        self.offset = 0

    def __call__(self, command: str, stdin: BinaryIO, stdout: BinaryIO) -> int:
        self.commands.append(command)
        verb = command.split(LAYOUT.helper, 1)[1].split()[0]

        def say(frame: frames.FromNode) -> None:
            stdout.write(encode_frame(frame))

        stdout.write(b"Welcome to mac-1!\n" + sync.MAGIC)
        if verb == "attach":
            say(sync.Hello())
            if self.lose_commit:
                self.lose_commit = False  # it stages yet
                say(sync.Failed(code="no_run", title="there was no run r1 on this node"))
                return 1
            self._journal(say, after=int(command.split()[-2]))
            return 0
        facts = None if self.idle else sync.Facts(chip="M4")
        say(sync.Hello(idle=self.idle, state_id=STATE.state_id, release=self.live, facts=facts))
        return 0 if self.idle else self._session(stdin, say)

    def _session(self, stdin: BinaryIO, say: Callable[[frames.FromNode], object]) -> int:
        first = self._read(stdin)
        if isinstance(first, questions.Recall):
            return self._back(stdin, say)
        if isinstance(first, questions.Confirm):
            self.confirmed.append(first.run_id)
            say(questions.Confirmed(run_id=first.run_id))
            return 0
        assert isinstance(first, sync.Desired)
        missing = (sync.Missing(digest=DIGEST, offset=self.offset),)
        say(sync.Observed(steps=(STEP,), texts={"/opt/fleet/etc/a.conf": "listen 1\n"}, missing=missing, bad=self.bad))
        while True:
            match self._read(stdin):
                case sync.Hold():
                    say(sync.Held(fence=1))
                case sync.BlobPart() as part:
                    self.received[part.digest] = stdin.read(part.size)
                case sync.Commit():
                    if self.lose_commit:
                        return 0
                    say(sync.Staged())
                    return self._journal(say, after=0, cut=self.cut_after)
                case _:
                    return 0

    def _back(self, stdin: BinaryIO, say: Callable[[frames.FromNode], object]) -> int:
        """A rollback: the state that is kept here, and then exactly it."""
        say(questions.Recalled(state=OLD))
        wanted = self._read(stdin)
        assert isinstance(wanted, sync.Desired)
        say(sync.Observed(steps=(STEP,)))
        commit = self._read(stdin)
        assert isinstance(commit, sync.Commit)
        self.went_back.append((wanted.state.state_id, commit.action, commit.run_id))
        say(sync.Staged())
        say(sync.Done(outcome="committed"))
        return 0

    def _journal(self, say: Callable[[frames.FromNode], object], *, after: int, cut: int | None = None) -> int:
        passed = "ok" if self.outcome == "committed" else "failed"
        events = [
            sync.Event(seq=1, at_seconds=1, phase="begin", status="ok", text="1 step"),
            sync.Event(seq=2, at_seconds=2, phase="step", status="ok", key=STEP.key, text="update"),
            sync.Event(
                seq=3,
                at_seconds=3,
                phase="gate",
                status=passed,
                key="launchd:x",
                text="78: EX_CONFIG",
                detail="last words\nhint: look",
            ),
        ]
        if passed == "failed":
            text = "78: EX_CONFIG"
            events.append(sync.Event(seq=4, at_seconds=4, phase="revert", status="start", text=text))
            events.append(sync.Event(seq=5, at_seconds=5, phase="end", status="failed", text=text, detail="last words"))
        if self.asks:
            events.append(sync.Event(seq=4, at_seconds=4, phase="confirm", status="start"))
        for event in events[after:]:
            if cut is not None and event.seq > cut:
                return 0
            say(event)
        say(sync.Done(outcome=self.outcome))
        return 0

    @staticmethod
    def _read(stdin: BinaryIO) -> frames.ToNode:
        size = stdin.readline()
        if not size:
            return sync.Bye()
        found: frames.ToNode = decode(stdin.read(int(size) + 1), frames.ToNode)  # type: ignore[arg-type]
        return found


def job_of(name: NodeName) -> NodeJob:
    """A job for a played node."""
    return NodeJob(
        name=name,
        target=Target(node=name, address=name),
        helper=helper_argv(LAYOUT, sudo=True),
        compiled=Compiled(state=STATE, contents={DIGEST: TEXT}),
        contents={DIGEST: TEXT},
        salt="s",
    )


@contextmanager
def run_over(
    nodes: Mapping[NodeName, Node | None], folder: Path, events: list[RunEvent], terms: Terms | None = None
) -> Iterator[Run]:
    """A run over played nodes; None does not answer."""
    sessions = {str(name): FakeSession(node, node=name) for name, node in nodes.items() if node}
    jobs = [job_of(name) for name in nodes]
    clock = FakeClock(datetime(2026, 11, 22, tzinfo=UTC))
    journal = Journal(RunId("r1"), clock=clock, show=events.append, path=folder / "r1.jsonl")
    with Run(
        jobs,
        link=FakeLink(sessions),
        sync=SYNC,
        journal=journal,
        facts_seen=lambda node, facts: None,
        terms=terms or Terms(operator="me@here"),
        clock=clock,
    ) as run:
        yield run


def deploy(
    nodes: dict[NodeName, Node],
    folder: Path,
    events: list[RunEvent],
    pace: Pace | None = None,
    *,
    refuse: bool = False,
    terms: Terms | None = None,
) -> Run:
    """Check, then apply everything."""
    with run_over(nodes, folder, events, terms) as run:
        run.check()
        if refuse:
            run.leave_refused()
        busy = {name: not plan.idle for name, plan in run.plans.items()}
        run.apply(run.walk(batches([("all", pace or Pace(), list(nodes))], busy)))
    return run


def test_an_idle_node_is_asked_once_and_sent_nothing(tmp_path: Path) -> None:
    node = Node(idle=True)
    run = deploy({NODES[0]: node}, tmp_path, [])
    assert run.results[NODES[0]].outcome is Outcome.UNCHANGED
    assert len(node.commands) == 1
    assert node.received == {}


class Scripted:
    """A session whose commands answer in this order; `asked` are the commands."""

    node = "mac-1"

    def __init__(self, *channels: FakeChannel) -> None:
        self.channels, self.asked = list(channels), []

    def exec(self, command: str, *, within_seconds: float = 60.0) -> FakeChannel:
        self.asked.append(command)
        return self.channels[len(self.asked) - 1]


def conversation(session: Scripted) -> Conversation:
    return Conversation(session, node=NODES[0], helper=helper_argv(LAYOUT, sudo=True), sync=SYNC)  # type: ignore[arg-type]


def test_a_node_that_lacks_sync_gets_it_and_is_asked_again() -> None:
    lacking = FakeChannel(b"", exit_status=127, stderr=f"fleet-node: sync {SYNC.digest} is not here")
    put = FakeChannel(b"")
    answering = FakeChannel(sync.MAGIC + encode_frame(sync.Hello(state_id="x")))
    session = Scripted(lacking, put, answering)
    assert conversation(session).open(state_id="-", run_id=RunId("r1")).state_id == "x"
    assert put.written == SYNC.content
    assert session.asked[0] == session.asked[2]
    assert f" put sync/{SYNC.digest}.pyz {len(SYNC.content)} {SYNC.digest}" in session.asked[1]


def test_a_node_without_the_helper_is_not_adopted() -> None:
    session = Scripted(FakeChannel(b"", exit_status=127, stderr="sh: /opt/fleet/sbin/fleet-node: not found"))
    with pytest.raises(NotAdopted, match="helper is not on the node"):
        conversation(session).open(state_id="-", run_id=RunId("r1"))


def test_sudo_that_refuses_the_helper_is_said_so() -> None:
    session = Scripted(FakeChannel(b"", exit_status=1, stderr="sudo: a password is required"))
    with pytest.raises(NodeError, match="sudo refused"):
        conversation(session).open(state_id="-", run_id=RunId("r1"))


def test_a_failure_in_the_middle_of_a_journal_is_the_nodes_own_words() -> None:
    failed = sync.Failed(code="apply", title="launchd does not start the apply job", hint="fleet adopt mac-1")
    frames = [sync.Hello(), sync.Event(seq=1, at_seconds=1, phase="begin", status="ok"), failed]
    talk = conversation(Scripted(FakeChannel(sync.MAGIC + b"".join(encode_frame(frame) for frame in frames))))
    talk.open(state_id="-", run_id=RunId("r1"))
    with pytest.raises(NodeError, match="launchd does not start") as caught:
        list(talk.follow(wait_seconds=1))
    assert not isinstance(caught.value, ProtocolError)


def test_the_plan_shows_the_nodes_own_steps_with_a_diff(tmp_path: Path) -> None:
    with run_over({NODES[0]: Node()}, tmp_path, []) as run:
        (plan,) = run.check().values()
        run.release()
    assert [change.step for change in plan.changes] == [STEP]
    assert plan.changes[0].diff == ("@@ -1 +1 @@", "-listen 1", "+listen 8790")
    assert plan.send_bytes == len(TEXT)


def test_a_commit_sends_what_is_missing_and_tells_the_journal(tmp_path: Path) -> None:
    node, events = Node(), []
    run = deploy({NODES[0]: node}, tmp_path, events)
    assert run.results[NODES[0]].outcome is Outcome.CHANGED
    assert node.received == {DIGEST: TEXT}
    kept = [msgspec.json.decode(line, type=RunEvent) for line in (tmp_path / "r1.jsonl").read_bytes().splitlines()]
    assert [event.seq for event in kept] == sorted(event.seq for event in kept)
    assert kept[-1].outcome is Outcome.CHANGED
    assert not any(event.status == "progress" for event in kept)


def test_a_partial_blob_is_sent_from_where_the_node_has_it(tmp_path: Path) -> None:
    node = Node()
    node.offset = 7
    deploy({NODES[0]: node}, tmp_path, [])
    assert node.received == {DIGEST: TEXT[7:]}


def test_a_failed_gate_is_told_with_its_reason_and_stops_the_next_batch(tmp_path: Path) -> None:
    nodes = {NODES[0]: Node(outcome="reverted"), NODES[1]: Node(), NODES[2]: Node()}
    run = deploy(nodes, tmp_path, [], Pace(canary=1, max_unavailable=1))
    first = run.results[NODES[0]]
    assert first.outcome is Outcome.REVERTED
    assert first.error is not None
    assert "78: EX_CONFIG" in first.error.text
    assert "last words" in first.error.text
    assert {run.results[name].outcome for name in NODES[1:]} == {Outcome.SKIPPED}
    assert nodes[NODES[1]].received == {}


def test_a_node_that_turned_out_to_be_well_already_does_not_stop_the_next_batch(tmp_path: Path) -> None:
    nodes = {NODES[0]: Node(outcome="unchanged"), NODES[1]: Node()}
    run = deploy(nodes, tmp_path, [], Pace(canary=1))
    assert [run.results[name].outcome for name in nodes] == [Outcome.UNCHANGED, Outcome.CHANGED]


def test_a_failure_is_told_once_with_its_advice_and_the_end_says_what_became_of_the_node(tmp_path: Path) -> None:
    events: list[RunEvent] = []
    run = deploy({NODES[0]: Node(outcome="reverted")}, tmp_path, events)
    failed = [event for event in events if event.status == "failed"]
    assert [(event.text, event.detail, event.hint) for event in failed] == [
        ("launchd x · 78: EX_CONFIG", "last words", "look"),
        ("the node is as it was before", "", ""),
    ]
    assert [event.text for event in events if event.phase == "revert"] == ["to what was there before"]
    error = run.results[NODES[0]].error
    assert error is not None
    assert (error.title, error.detail, error.hint) == ("launchd x: 78: EX_CONFIG", "last words", "look")


def test_a_connection_lost_after_the_commit_is_taken_up_again_where_it_was(tmp_path: Path) -> None:
    node, events = Node(cut_after=2), []
    run = deploy({NODES[0]: node}, tmp_path, events)
    assert run.results[NODES[0]].outcome is Outcome.CHANGED
    assert node.commands[-1].split()[-3:-1] == ["r1", "2"]
    assert any("goes on alone" in event.text for event in events)


def test_what_a_node_holds_is_never_fetched_and_what_it_lacks_is_fetched_before_the_first_byte(tmp_path: Path) -> None:
    nodes = {NODES[0]: Node(idle=True), NODES[1]: Node()}
    fetched: list[NodeName] = []
    with run_over(nodes, tmp_path, []) as run:
        for name in nodes:

            def fetch(name: NodeName = name) -> bytes:
                fetched.append(name)
                assert nodes[name].received == {}
                return TEXT

            run._talks[name].job = replace(run._talks[name].job, contents={DIGEST: fetch})
        plans = run.check()
        assert fetched == []
        busy = {name: not plan.idle for name, plan in plans.items()}
        run.apply(run.walk(batches([("all", Pace(), list(nodes))], busy)))
    assert fetched == [NODES[1]]
    assert nodes[NODES[1]].received == {DIGEST: TEXT}


def test_a_connection_lost_while_the_node_stages_is_taken_up_again_once_it_has_the_run(tmp_path: Path) -> None:
    node, events = Node(), []
    node.lose_commit = True
    run = deploy({NODES[0]: node}, tmp_path, events)
    assert run.results[NODES[0]].outcome is Outcome.CHANGED
    assert any("lost while staging" in event.text for event in events)
    assert sum(" attach " in command for command in node.commands) == 2


def test_what_nobody_foresaw_on_one_node_is_told_and_the_others_are_finished(tmp_path: Path) -> None:
    nodes = {NODES[0]: Node(), NODES[1]: Node()}
    with run_over(nodes, tmp_path, []) as run:
        run.check()
        run._talks[NODES[0]].job = replace(run._talks[NODES[0]].job, contents={})
        run.apply(run.walk(batches([("all", Pace(max_unavailable=2), list(nodes))], dict.fromkeys(nodes, True))))
    first = run.results[NODES[0]]
    assert first.outcome is Outcome.FAILED
    assert first.error is not None
    assert "KeyError" in first.error.text
    assert run.results[NODES[1]].outcome is Outcome.CHANGED


def test_a_run_that_was_left_does_not_reach_for_its_nodes_again(tmp_path: Path) -> None:
    node = Node(cut_after=1)
    with run_over({NODES[0]: node}, tmp_path, []) as run:
        run.check()
        run._left.set()  # as leaving the run does, after ^C
        run.apply(run.walk(batches([("all", Pace(), [NODES[0]])], {NODES[0]: True})))
    assert not any(" attach " in command for command in node.commands)


def test_a_node_that_cannot_be_reached_does_not_keep_the_others(tmp_path: Path) -> None:
    with run_over({NODES[0]: Node(idle=True), NODES[1]: None}, tmp_path, []) as run:
        run.check()
    assert run.results[NODES[0]].outcome is Outcome.UNCHANGED
    assert run.results[NODES[1]].outcome is Outcome.UNREACHABLE
    assert isinstance(run.results[NODES[1]].error, Unreachable)


def test_a_node_that_changed_since_it_was_seen_is_compiled_for_anew(tmp_path: Path) -> None:
    with run_over({NODES[0]: Node()}, tmp_path, []) as run:
        run._talks[NODES[0]].job = replace(run._talks[NODES[0]].job, facts=sync.Facts(chip="M1"))
        run.check()
    error = run.results[NODES[0]].error
    assert error is not None
    assert "chip: M1 -> M4" in error.text


def test_a_run_is_taken_up_where_its_laptop_left_it(tmp_path: Path) -> None:
    """mac-1 has the run, mac-2 was being sent to and never took it, mac-3 was not begun."""
    nodes = {name: Node() for name in NODES}
    nodes[NODES[1]].lose_commit = True  # its first answer to attach is that there was no such run
    left = Walk(
        batches=batches([("all", Pace(max_unavailable=2), NODES)], dict.fromkeys(NODES, True)),
        out=frozenset(NODES[:2]),
        entered=True,
        ended={NodeName("mac-0"): Outcome.CHANGED},
    )
    with run_over(nodes, tmp_path, []) as run:
        plans = run.take_up(left, {NODES[0]: "b" * 64})
        assert set(plans) == set(NODES[1:])
        walk = run.goes_on(left, Capacity())
        assert (walk.out, walk.waiting) == ({NODES[0]}, (NODES[1], NODES[2]))
        run.apply(walk)
    assert {name: one.outcome for name, one in run.results.items()} == dict.fromkeys(["mac-0", *NODES], Outcome.CHANGED)
    assert [nodes[name].received for name in NODES] == [{}, {DIGEST: TEXT}, {DIGEST: TEXT}]
    assert run.before == {NODES[0]: "b" * 64, NODES[1]: "-", NODES[2]: "-"}


def test_a_state_that_failed_before_is_refused_unless_it_is_forced(tmp_path: Path) -> None:
    node, other = Node(), Node()
    node.bad = "the gate did not pass\nlast words"
    run = deploy({NODES[0]: node, NODES[1]: other}, tmp_path, [], refuse=True)
    assert run.results[NODES[1]].outcome is Outcome.SKIPPED
    assert other.received == {}
    error = run.results[NODES[0]].error
    assert error is not None
    assert (error.title, error.detail) == ("this very state failed here before: the gate did not pass", "last words")
    assert "--force" in error.hint
    assert node.received == {}
    forced = deploy({NODES[0]: node}, tmp_path, [], refuse=True, terms=Terms(operator="me@here", force=True))
    assert forced.results[NODES[0]].outcome is Outcome.CHANGED


def test_a_node_goes_back_to_what_was_live_before_by_the_state_that_it_holds(tmp_path: Path) -> None:
    nodes = {NODES[0]: Node(), NODES[1]: Node(outcome="reverted")}
    nodes[NODES[0]].live = OLD.state_id
    run = deploy(nodes, tmp_path, [], Pace(max_unavailable=1, on_failure=OnFailure.REVERT_ALL))
    assert {name: run.results[name].outcome for name in nodes} == dict.fromkeys(nodes, Outcome.REVERTED)
    assert nodes[NODES[0]].went_back == [(OLD.state_id, "rollback", "r1.back")]


def test_a_first_release_that_has_nothing_to_go_back_to_stays_and_says_so(tmp_path: Path) -> None:
    nodes = {NODES[0]: Node(), NODES[1]: Node(outcome="reverted")}
    run = deploy(nodes, tmp_path, [], Pace(max_unavailable=1, on_failure=OnFailure.REVERT_ALL))
    assert run.results[NODES[0]].outcome is Outcome.CHANGED
    assert "nothing to go back to" in run.results[NODES[0]].detail


def test_a_run_that_waits_to_be_confirmed_is_told_so_over_a_connection_of_its_own(tmp_path: Path) -> None:
    node = Node()
    node.asks = True
    run = deploy({NODES[0]: node}, tmp_path, [], Pace(confirm_seconds=30.0))
    assert run.results[NODES[0]].outcome is Outcome.CHANGED
    assert node.confirmed == ["r1"]
