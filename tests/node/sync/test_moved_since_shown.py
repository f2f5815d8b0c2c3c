"""What was shown is what happens: a node that drifts between plan and apply is left alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

import pytest
from sync_kit import Node, Release, adopted

from fleet.node.sync import releases
from fleet.node.sync.frames import Wire
from fleet.node.sync.session import Session
from fleet.vocabulary.contracts.codec import canonical, decode
from fleet.vocabulary.contracts.desired import Command
from fleet.vocabulary.contracts.frames import FromNode, ToNode
from fleet.vocabulary.contracts.sync import MAGIC, BlobPart, Commit, Desired, Failed, Observed


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return adopted(tmp_path)


class Laptop(io.RawIOBase):
    """Says its frames one by one; before the commit, somebody is at the node."""

    def __init__(self, frames: list[bytes], meanwhile: object) -> None:
        self._frames, self._meanwhile = frames, meanwhile
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        if not self._rest and self._frames:
            self._rest = self._frames.pop(0)
            if not self._frames and callable(self._meanwhile):
                self._meanwhile()
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def frame(value: ToNode, raw: bytes = b"") -> bytes:
    text = canonical(value)
    return b"%d\n%b\n%b" % (len(text), text, raw)


def deploy(node: Node, release: Release, meanwhile: object, commit: Commit | None = None) -> list[FromNode]:
    """A whole conversation, with `meanwhile` called after everything was shown and sent."""
    node.watch(release)
    parts = [
        frame(BlobPart(digest=digest, offset=0, size=len(content)), content)
        for digest, content in release.contents.items()
        if not Path(node.layout.content(digest.split(":")[1])).exists()
    ]
    commit = commit or Commit(run_id="r1")
    said = [frame(Desired(state=release.state)), *parts, frame(commit)]
    out = io.BytesIO()
    reading = io.BufferedReader(Laptop(said, meanwhile), 1)
    Session(machine=node.machine, wire=Wire(reading, out), state_id="-", run_id=commit.run_id).run()
    text = out.getvalue()[len(MAGIC) :]
    found: list[FromNode] = []
    while text:
        size, _, text = text.partition(b"\n")
        found.append(decode(text[: int(size)], cast("Any", FromNode)))
        text = text[int(size) + 1 :]
    return found


def a_release(node: Node, text: str = "one") -> Release:
    return node.release().directory(f"{node.layout.root}/etc").file(node.layout.etc("a"), text).daemon("agent")


def test_a_file_that_drifts_after_the_plan_stops_the_deploy_and_is_named(node: Node) -> None:
    assert node.deploy(a_release(node)) == "committed"
    live = releases.current_id(node.machine)
    new = node.release().directory(f"{node.layout.root}/etc").file(node.layout.etc("a"), "one").daemon("worker")

    def edit() -> None:
        Path(node.layout.etc("a")).write_text("by hand")

    last = deploy(node, new, edit)[-1]
    assert isinstance(last, Failed)
    assert last.code == "moved"
    assert last.detail == f"new: update file {node.layout.etc('a')}"
    assert releases.current_id(node.machine) == live
    assert Path(node.layout.etc("a")).read_text() == "by hand"
    assert node.layout.label("worker") not in node.mac.jobs


def test_a_job_that_dies_after_the_plan_stops_nothing(node: Node) -> None:
    assert node.deploy(a_release(node)) == "committed"
    label = node.layout.label("agent")
    last = deploy(node, a_release(node, "two"), lambda: node.mac.crash(label))[-1]
    assert not isinstance(last, Failed), last
    assert Path(node.layout.etc("a")).read_text() == "two"


def test_checks_of_commands_are_not_run_again(node: Node) -> None:
    checks: list[str] = []
    command = Command(task="t", name="look", argv=("/usr/bin/true",), user="root", check=("/bin/check",))
    deploy(node, a_release(node).add(command), lambda: checks.append("before commit"))
    typed = [words for words in node.mac.typed if words[0] == "/bin/check"]
    assert checks == ["before commit"]
    # One for the plan, the others by the apply job: none in between.
    assert len(typed) == 2


def test_a_look_tells_who_wrote_last_what_drifted(node: Node) -> None:
    assert node.deploy(a_release(node)) == "committed"
    path = Path(node.layout.etc("a"))
    path.write_text("by hand")
    at, owner = path.stat().st_mtime, path.owner()
    observed = next(one for one in deploy(node, a_release(node), None) if isinstance(one, Observed))
    (written,) = observed.written.values()
    assert written.path == str(path)
    assert written.at_seconds == at
    assert written.owner == owner
