"""Two operators at one node, at any pace: what is there in the end is what a serial order would have made of it."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st
from sync_kit import Node, Release, adopted
from test_session import frame, frames

from fleet.node.sync import releases
from fleet.node.sync.apply import apply
from fleet.node.sync.frames import Watcher, Wire
from fleet.node.sync.leases import Leases
from fleet.node.sync.pending import pending_run
from fleet.node.sync.session import Session
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.audit import AuditLine
from fleet.vocabulary.contracts.frames import FromNode
from fleet.vocabulary.contracts.questions import AuditLines, ReadAudit
from fleet.vocabulary.contracts.sync import BlobPart, Commit, Desired, Done, Failed, Hold, Observed

_TURNS_AT_MOST = 20_000
EXAMPLES = 200 if os.environ.get("FLEET_SHOW") else 10


class Turns(FakeClock):
    """A clock that hands the turn on whenever somebody sleeps: of all threads one runs, and the test says which."""

    def sleep(self, seconds: float) -> None:
        """Let time pass, and others work."""
        self.advance(seconds)
        operator = Operator.of_this_thread()
        if operator is not None:
            operator.rest()


@dataclass
class Operator(io.BytesIO):
    """One laptop and its session, in a thread of its own that runs when it has the turn."""

    name: str
    node: Node
    release: Release
    steals: bool
    run_id: str
    waits: bool = False
    over: bool = False
    hung_up: bool = False
    watcher: Watcher | None = None
    out: io.BytesIO = field(default_factory=io.BytesIO)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self._turn, self._rested = threading.Semaphore(0), threading.Semaphore(0)
        self._heard, self._script = b"", self._frames()
        self._thread = threading.Thread(target=self._work, name=self.name)
        self._thread.operator = self  # type: ignore[attr-defined]
        self._thread.start()

    __hash__ = object.__hash__

    @staticmethod
    def of_this_thread() -> Operator | None:
        return getattr(threading.current_thread(), "operator", None)

    def step(self, *, speaks: bool) -> None:
        """Have the turn: say the next frame, or let the session look around."""
        if self.waits and speaks and not self.hung_up:
            self._heard += next(self._script, b"") or b""
            if not self._heard:
                self.hung_up = True
        self._turn.release()
        self._rested.acquire()

    def rest(self) -> None:
        """Give the turn away until it comes again."""
        self._rested.release()
        self._turn.acquire()

    def said(self) -> list[FromNode]:
        return frames(self.out.getvalue())

    # What a session reads from

    def readline(self, size: int | None = -1, /) -> bytes:
        self._need(1)
        line, _, _ = self._heard.partition(b"\n")
        return self._taken(min(len(line) + 1, size if size and size > 0 else 1 << 30))

    def read(self, size: int | None = -1, /) -> bytes:
        self._need(size or 0)
        return self._taken(size or 0)

    def _taken(self, size: int) -> bytes:
        found, self._heard = self._heard[:size], self._heard[size:]
        return found

    def _need(self, size: int) -> None:
        while len(self._heard) < size and not self.hung_up:
            self.waits = True
            self.rest()
            self.waits = False
            if self.watcher is not None:
                self.watcher.heard() if self._heard else self.watcher.look()

    def _work(self) -> None:
        self._turn.acquire()
        try:
            Session(machine=self.node.machine, wire=_Line(self), state_id="-", run_id=self.run_id).run()
        except BaseException as error:  # noqa: BLE001 (the test's thread tells)
            self.error = error
        self.over = True
        self._rested.release()

    def _frames(self) -> Iterator[bytes]:
        """What the laptop says, one frame after the other, each made when it is its turn."""
        yield frame(Desired(state=self.release.state))
        yield frame(Hold(holder=self.name, steal=self.steals))
        observed = [each for each in self.said() if isinstance(each, Observed)]
        for missing in observed[-1].missing if observed else ():
            content = self.release.contents[missing.digest][missing.offset :]
            part = frame(BlobPart(digest=missing.digest, offset=missing.offset, size=len(content)), content)
            yield part[: len(part) // 2]
            yield part[len(part) // 2 :]
        yield frame(Commit(run_id=self.run_id, operator=self.name))


class _Line(Wire):
    def __init__(self, operator: Operator) -> None:
        super().__init__(operator, operator.out)
        self._operator = operator

    def expect_more_within(self, seconds: float, *, watcher: Watcher) -> None:
        self._operator.watcher = watcher


def a_room(place: Path) -> Node:
    """A node whose clock hands the turn on."""
    node = adopted(place)
    clock = Turns()
    node.clock = node.mac.clock = clock
    node.machine = replace(node.machine, clock=clock)
    return node


def release_of(node: Node, name: str) -> Release:
    release = node.release().directory(f"{node.layout.root}/etc").file(node.layout.etc("who.json"), name)
    release.file(node.layout.etc(f"{name}.json"), name)
    return release.daemon("agent", name).daemon(f"sidecar.{name}", name)


def picture(node: Node) -> dict[str, Any]:
    """All that a deploy changes."""
    etc = Path(node.layout.root, "etc")
    return {
        "live": releases.current_id(node.machine),
        "files": {path.name: path.read_bytes() for path in etc.iterdir()} if etc.is_dir() else {},
        "plists": {path.name: path.read_bytes() for path in Path(node.layout.daemons_dir).iterdir()},
        "jobs": {label: job.raw for label, job in node.mac.jobs.items()},
    }


def committed(node: Node) -> list[AuditLine]:
    line = io.BytesIO()
    Session(machine=node.machine, wire=Wire(io.BytesIO(frame(ReadAudit())), line), state_id="-", run_id="look").run()
    (answer,) = [each for each in frames(line.getvalue()) if isinstance(each, AuditLines)]
    assert answer.broken is None
    return [each for each in answer.lines if each.outcome == "committed" and each.action == "deploy"]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    turns=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60),
    steals=st.tuples(st.booleans(), st.booleans()),
    leaves=st.none() | st.tuples(st.booleans(), st.integers(0, 40)),
    before=st.booleans(),
)
def test_any_interleaving_of_two_runs_equals_a_serial_one(
    turns: list[tuple[bool, bool]], steals: tuple[bool, bool], leaves: tuple[bool, int] | None, *, before: bool
) -> None:
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as other:
        node = a_room(Path(place))
        if before:
            assert node.deploy(release_of(node, "old")) == "committed"
        pair = [
            Operator(name, node, release_of(node, name), steals=steal, run_id=f"run-{name}")
            for name, steal in zip(("ann", "bob"), steals, strict=True)
        ]
        count = 0
        while not all(each.over for each in pair):
            second, speaks = turns[count] if count < len(turns) else (bool(count % 2), True)
            if leaves is not None and leaves[1] == count:
                pair[leaves[0]].hung_up = True
            one = pair[second]
            if not one.over:
                one.step(speaks=speaks)
            count += 1
            assert count < _TURNS_AT_MOST
        for each in pair:
            assert each.error is None, each.error
        if pending_run(node.machine) is not None:  # both laptops went away: the apply job has it
            apply(node.machine)
        order = [line.operator for line in committed(node) if line.operator]
        for each in pair:
            done = [frame.outcome for frame in each.said() if isinstance(frame, Done)]
            failed = [frame.code for frame in each.said() if isinstance(frame, Failed)]
            event(f"{done[0] if done else failed[0] if failed else 'left'}{', who steals' if each.steals else ''}")
            assert done in ([], ["committed"], ["reverted"])
            assert set(failed) <= {"busy", "stolen", "moved"}, each.said()
            if done == ["committed"]:
                assert each.name in order
        if leaves is None and not any(steals):
            assert order, "somebody must have got through"
        serial = a_room(Path(other))
        for name in [*(["old"] if before else []), *order]:
            assert serial.deploy(release_of(serial, name)) == "committed"
        here, there = picture(node), picture(serial)
        assert moved(here["files"], place, other) == there["files"]
        assert set(here["jobs"]) == set(there["jobs"])
        assert set(here["plists"]) == set(there["plists"])
        last = [*(["old"] if before else []), *order][-1:]
        expected = release_of(node, last[0]).state.state_id if last else None
        assert here["live"] == expected
        assert Leases(machine=node.machine).held() is None


def moved(files: dict[str, bytes], place: str, other: str) -> dict[str, bytes]:
    return {name: content.replace(place.encode(), other.encode()) for name, content in files.items()}
