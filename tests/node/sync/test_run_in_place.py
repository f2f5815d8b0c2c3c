"""A run that touches no daemon is done by the conversation itself; it ends old or new whoever leaves or dies."""

from __future__ import annotations

import io
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sync_kit import USER, Node, Release, adopted
from test_session import _Gone, deploy, frame, frames, of, talk

from fleet.node.sync import releases
from fleet.node.sync.apply import apply
from fleet.node.sync.frames import Pipe, Wire
from fleet.node.sync.leases import Leases
from fleet.node.sync.machine import Ran
from fleet.node.sync.pending import pending_run
from fleet.node.sync.session import Session
from fleet.testing.launchd import Crash, FaultyDisk, Fuse
from fleet.vocabulary.contracts.desired import Command
from fleet.vocabulary.contracts.sync import BlobPart, Commit, Desired, Done, Event, Hold, Observed, Staged

SHOW = bool(os.environ.get("FLEET_SHOW"))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return adopted(tmp_path)


def plain(node: Node, text: str, *, code: int = 0) -> Release:
    """Two files, a folder, and a command when one of them changed; and a daemon that none of it concerns."""
    path = node.layout.etc("a.json")
    node.mac.programs["/usr/bin/note"] = lambda words: Ran(code=code if words[-1] == text else 0)
    release = node.release().directory(f"{node.layout.root}/etc").file(path, text)
    release.file(node.layout.etc(f"{text}.json"), text).daemon("agent", "same")
    return release.add(
        Command(task="t", name="note", argv=("/usr/bin/note", text), on_change_of=(f"file:{path}",), user=USER)
    )


def kicks(node: Node) -> int:
    return sum("kickstart" in words for words in node.mac.typed)


def said(release: Release, missing: dict[str, int], run_id: str) -> bytes:
    parts = [
        frame(
            BlobPart(digest=digest, offset=at, size=len(release.contents[digest]) - at), release.contents[digest][at:]
        )
        for digest, at in missing.items()
    ]
    hold = frame(Hold(holder="ann@desk"))
    return b"".join((frame(Desired(state=release.state)), hold, *parts, frame(Commit(run_id=run_id, operator="ann"))))


def lacks(node: Node, release: Release) -> dict[str, int]:
    planned = talk(node, frame(Desired(state=release.state)))
    return {one.digest: one.offset for one in of(Observed, planned).missing}


def test_files_and_commands_change_without_the_apply_job_and_a_daemon_does_not(node: Node) -> None:
    deploy(node, plain(node, "one"))
    assert kicks(node) == 1  # the daemon is new
    new = plain(node, "two")
    answers = deploy(node, new, run_id="r2")
    assert kicks(node) == 1
    assert of(Done, answers).outcome == "committed"
    assert [type(each) for each in answers[-3:]] == [Event, Event, Done]
    events = [each for each in answers if isinstance(each, Event)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].phase == "end"
    assert releases.current_id(node.machine) == new.state.state_id
    assert ("/usr/bin/note", "two") in node.mac.typed
    assert Leases(machine=node.machine).held() is None


def test_a_run_that_waits_for_a_confirmation_is_the_apply_jobs(node: Node) -> None:
    deploy(node, plain(node, "one"))
    new = plain(node, "two")
    words = said(new, lacks(node, new), "r2").removesuffix(frame(Commit(run_id="r2", operator="ann")))
    before = kicks(node)
    talk(node, words + frame(Commit(run_id="r2", operator="ann", confirm_seconds=5.0)), run_id="r2")
    assert kicks(node) == before + 1


def test_a_command_that_fails_takes_the_files_back(node: Node) -> None:
    old = plain(node, "one")
    deploy(node, old)
    answers = deploy(node, plain(node, "two", code=1), run_id="r2")
    assert of(Done, answers).outcome == "reverted"
    assert Path(node.layout.etc("a.json")).read_text() == "one"
    assert not Path(node.layout.etc("two.json")).exists()
    assert releases.current_id(node.machine) == old.state.state_id


def test_the_rest_is_told_when_the_apply_job_was_first(node: Node) -> None:
    deploy(node, plain(node, "one"))
    new = plain(node, "two")

    class First(io.BytesIO):
        """Another conversation wakes the apply job as soon as the run is handed over."""

        def write(self, data: bytes) -> int:  # type: ignore[override] # of bytes alone
            if b'"kind":"staged"' in data:
                apply(node.machine)
            return super().write(data)

    out, words = First(), said(new, lacks(node, new), "r2")
    Session(machine=node.machine, wire=Wire(io.BytesIO(words), out), state_id="-", run_id="r2").run()
    answers = frames(out.getvalue())
    assert of(Done, answers).outcome == "committed"
    assert next(each.seq for each in answers if isinstance(each, Event)) == 1


@settings(max_examples=100 if SHOW else 12, deadline=None)
@given(writes=st.integers(0, 24))
def test_a_laptop_may_leave_at_any_word_and_the_run_ends(writes: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        node = adopted(Path(place))
        old, new = plain(node, "one"), plain(node, "two")
        deploy(node, old)
        words = said(new, lacks(node, new), "r2")
        session = Session(machine=node.machine, wire=Wire(io.BytesIO(words), _Gone(writes)), state_id="-", run_id="r2")
        try:
            session.run()
        except BrokenPipeError:
            apply(node.machine)
        assert pending_run(node.machine) is None
        live = releases.current_id(node.machine)
        one = {release.state.state_id: release for release in (old, new)}[live or ""]
        assert node.plan(one) == ()


@settings(max_examples=300 if SHOW else 25, deadline=None)
@given(left=st.integers(0, 120))
def test_killed_anywhere_it_is_old_or_new_when_the_job_was_there(left: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        node = adopted(Path(place))
        old, new = plain(node, "one"), plain(node, "two")
        deploy(node, old)
        words = said(new, lacks(node, new), "r2")
        machine = replace(node.machine, disk=FaultyDisk(Fuse(left)))
        try:
            Session(machine=machine, wire=Wire(io.BytesIO(words), io.BytesIO()), state_id="-", run_id="r2").run()
        except Crash:
            apply(node.machine)
        assert pending_run(node.machine) is None
        live = releases.current_id(node.machine)
        one = {release.state.state_id: release for release in (old, new)}[live or ""]
        assert node.plan(one) == ()


def test_a_laptop_that_takes_nothing_more_keeps_no_run_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.node.sync.frames._ROOM_SECONDS", 0.01)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(reading, "rb"), os.fdopen(writing, "wb", buffering=0) as out:
        wire = Wire(io.BytesIO(), out, pipe=Pipe(reading))
        assert wire.offer(Staged())
        while out.write(bytes(4096)):
            pass
        assert not wire.offer(Staged())
