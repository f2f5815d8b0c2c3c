"""A conversation: facts, the plan, blobs that resume, a run handed over, and nothing live before it."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from sync_kit import GROUP, USER, Node, Release, adopted, sha

from fleet.node.sync import releases
from fleet.node.sync.apply import apply
from fleet.node.sync.disk import Disk
from fleet.node.sync.frames import Pipe, Watcher, Wire
from fleet.node.sync.pending import hand_over, lock, pending_run
from fleet.node.sync.session import Session
from fleet.node.sync.tail import Tail
from fleet.vocabulary.contracts.codec import canonical, decode
from fleet.vocabulary.contracts.desired import Blob, File, LaunchdGate, Tree
from fleet.vocabulary.contracts.frames import FromNode
from fleet.vocabulary.contracts.sync import (
    MAGIC,
    BlobPart,
    Bye,
    Commit,
    Desired,
    Done,
    Event,
    Failed,
    Hello,
    Observed,
    RunRequest,
    Staged,
)
from fleet.vocabulary.secret import Secret


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return adopted(tmp_path)


def frame(value: Any, raw: bytes = b"") -> bytes:
    text = canonical(value)
    return b"%d\n%b\n%b" % (len(text), text, raw)


def talk(node: Node, said: bytes, *, state_id: str = "-", run_id: str = "r1") -> list[FromNode]:
    """What the node answers to everything that a laptop says."""
    out = io.BytesIO()
    Session(machine=node.machine, wire=Wire(io.BytesIO(said), out), state_id=state_id, run_id=run_id).run()
    return frames(out.getvalue())


def frames(raw: bytes) -> list[FromNode]:
    assert raw.startswith(MAGIC)
    stream = io.BytesIO(raw[len(MAGIC) :])
    found: list[FromNode] = []
    while head := stream.readline():
        found.append(decode(stream.read(int(head)), cast(Any, FromNode)))
        assert stream.read(1) == b"\n"
    return found


def of(kind: type, said: list[FromNode]) -> Any:
    """The one frame of that kind."""
    (found,) = [each for each in said if isinstance(each, kind)]
    return found


def a_release(node: Node, text: str = "one") -> Release:
    release = node.release().directory(f"{node.layout.root}/etc").file(node.layout.etc("a.json"), text)
    return release.tree("node", {"a.py": b"x = 1\n"}).daemon("agent", text)


def parts(release: Release, *, wanted: set[str] | None = None) -> bytes:
    return b"".join(
        frame(BlobPart(digest=digest, offset=0, size=len(content)), content)
        for digest, content in release.contents.items()
        if wanted is None or digest in wanted
    )


def deploy(node: Node, release: Release, run_id: str = "r1") -> list[FromNode]:
    first = talk(node, frame(Desired(state=release.state)) + frame(Bye()))
    wanted = {missing.digest for missing in of(Observed, first).missing}
    said = frame(Desired(state=release.state)) + parts(release, wanted=wanted) + frame(Commit(run_id=run_id))
    return talk(node, said, state_id=release.state.state_id, run_id=run_id)


def test_hello_says_who_the_node_is(node: Node) -> None:
    (hello,) = talk(node, b"")
    assert isinstance(hello, Hello)
    assert (hello.idle, hello.state_id, hello.active_run) == (False, None, None)
    assert hello.facts is not None
    assert (hello.facts.os_version, hello.facts.filevault, hello.facts.boot_id) == ("26.4", False, "BOOT-1")
    assert hello.facts.memory_bytes is None


def test_a_check_changes_nothing(node: Node) -> None:
    release = a_release(node)
    before = sorted(Path(node.layout.root).rglob("*"))
    said = talk(node, frame(Desired(state=release.state)) + frame(Bye()))
    observed = of(Observed, said)
    assert [step.action for step in observed.steps] == ["create", "create", "create", "bootstrap"]
    assert {missing.digest for missing in observed.missing} == set(release.contents)
    assert observed.needed_bytes > 0
    assert sorted(Path(node.layout.root).rglob("*")) == before
    assert {words[1] for words in node.mac.typed if words[0].endswith("launchctl")} == {"print", "print-disabled"}


def test_a_deploy_goes_through_and_the_next_one_is_unchanged(node: Node) -> None:
    release = a_release(node)
    said = deploy(node, release)
    assert of(Staged, said)
    events = [each for each in said if isinstance(each, Event)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    done = of(Done, said)
    assert (done.outcome, done.state_id) == ("committed", release.state.state_id)
    assert [(service.label, service.state) for service in done.services] == [("org.fleet-macs.agent", "running")]
    Path(node.layout.state("receipt")).unlink()
    again = deploy(node, release, "r2")
    assert (of(Observed, again).steps, of(Done, again).outcome) == ((), "unchanged")
    assert Path(node.layout.state("receipt")).exists()


def test_plists_and_plain_files_that_change_are_shown_and_secrets_are_not(node: Node) -> None:
    deploy(node, a_release(node))
    changed = a_release(node, "two")
    key = node.layout.etc("keys.json")
    Path(key).write_text("live secret")
    blob = Blob(digest=Secret("s").digest("salt"), size=1)
    changed.add(File(task="t", path=key, blob=blob, mode=0o600, owner=USER, group="x", sensitive=True))
    texts = of(Observed, talk(node, frame(Desired(state=changed.state)) + frame(Bye()))).texts
    assert set(texts) == {node.layout.etc("a.json"), node.layout.plist("org.fleet-macs.agent")}
    assert texts[node.layout.etc("a.json")] == "one"


def test_a_cut_upload_goes_on_where_it_stopped(node: Node) -> None:
    release = node.release().file(node.layout.etc("big"), "x" * 5000)
    ((digest, content),) = release.contents.items()
    cut = frame(Desired(state=release.state)) + frame(BlobPart(digest=digest, offset=0, size=5000)) + content[:3000]
    talk(node, cut)
    (missing,) = of(Observed, talk(node, frame(Desired(state=release.state)))).missing
    assert (missing.digest, missing.offset) == (digest, 3000)
    rest = frame(BlobPart(digest=digest, offset=3000, size=2000), content[3000:])
    said = talk(node, frame(Desired(state=release.state)) + rest + frame(Commit(run_id="r1")))
    assert of(Done, said).outcome == "committed"
    assert Path(node.layout.etc("big")).read_bytes() == content


def test_a_blob_of_another_content_is_dropped_and_nothing_is_live(node: Node) -> None:
    release = node.release().file(node.layout.etc("f"), "right")
    ((digest, _),) = release.contents.items()
    said = talk(node, frame(Desired(state=release.state)) + frame(BlobPart(digest=digest, offset=0, size=5), b"wrong"))
    assert of(Failed, said).code == "digest"
    assert of(Observed, talk(node, frame(Desired(state=release.state)))).missing[0].offset == 0
    assert not Path(node.layout.etc("f")).exists()


def test_a_secret_is_verified_by_its_salt_and_kept_for_the_owner_only(node: Node) -> None:
    secret = Secret("sk-1234")
    path = node.layout.etc("keys.json")
    blob = Blob(digest=secret.digest("pepper"), size=7)
    release = node.release().add(
        File(task="t", path=path, blob=blob, mode=0o600, owner=USER, group=node.layout.group, sensitive=True)
    )
    part = frame(BlobPart(digest=blob.digest, offset=0, size=7, salt="pepper"), b"sk-1234")
    said = talk(node, frame(Desired(state=release.state)) + part + frame(Commit(run_id="r1")))
    assert of(Done, said).outcome == "committed"
    assert Path(path).read_text() == "sk-1234"
    for private in (path, node.layout.state("salt"), node.layout.state("receipt"), node.layout.content(blob.hex)):
        assert Path(private).stat().st_mode & 0o077 == 0
    assert node.plan(release) == ()
    Path(path).write_text("meddled")
    assert [step.action for step in node.plan(release)] == ["update"]


def test_a_commit_with_blobs_missing_is_refused(node: Node) -> None:
    release = a_release(node)
    said = talk(node, frame(Desired(state=release.state)) + frame(Commit(run_id="r1")))
    assert "still missing" in of(Failed, said).title
    assert releases.current_id(node.machine) is None


def test_a_second_run_is_told_that_the_node_is_busy(node: Node) -> None:
    release = a_release(node)
    said = frame(Desired(state=release.state)) + parts(release)
    with lock(node.machine, "other", wait=False):
        failed = of(Failed, talk(node, said))
    assert failed.code == "busy"
    assert "run other" in failed.detail


def test_a_pending_run_is_named_woken_and_not_disturbed(node: Node) -> None:
    release = a_release(node)
    node.stage(release)
    node.mac.errands[node.layout.apply_label] = lambda: None
    hand_over(node.machine, RunRequest(run_id="r0", state_id=release.state.state_id, previous=None, boot_id=None,
                                       requested_at_seconds=0))  # fmt: skip
    said = talk(node, frame(Desired(state=release.state)) + frame(Commit(run_id="r1")))
    assert of(Hello, said).active_run == "r0"
    assert of(Failed, said).code == "busy"
    node.mac.errands[node.layout.apply_label] = lambda: apply(node.machine)
    talk(node, b"")
    assert pending_run(node.machine) is None
    assert releases.current_id(node.machine) == release.state.state_id


def test_an_apply_job_that_never_begins_takes_its_run_back(node: Node) -> None:
    node.mac.errands[node.layout.apply_label] = lambda: None
    failed = of(Failed, deploy(node, a_release(node)))
    assert (failed.code, "did not begin" in failed.title) == ("apply", True)
    assert pending_run(node.machine) is None


def test_an_apply_job_that_nobody_installed_is_said(node: Node) -> None:
    node.mac.jobs.clear()
    Path(node.layout.plist(node.layout.apply_label)).unlink()
    failed = of(Failed, deploy(node, a_release(node)))
    assert "fleet adopt" in failed.hint
    assert pending_run(node.machine) is None


def test_a_release_whose_record_alone_differs_touches_no_daemon(node: Node) -> None:
    release = a_release(node)
    deploy(node, release)
    pids = node.mac.pids()
    release.gates.append(LaunchdGate(label="org.fleet-macs.agent"))
    said = deploy(node, release, "r2")
    assert [step.kind_of for step in of(Observed, said).steps] == ["release"]
    assert of(Done, said).outcome == "committed"
    assert node.mac.pids()["org.fleet-macs.agent"] == pids["org.fleet-macs.agent"]


def test_a_state_that_failed_before_says_so(node: Node) -> None:
    release = node.release().daemon("agent", program="/nowhere")
    deploy(node, release)
    assert "78" in of(Observed, talk(node, frame(Desired(state=release.state)))).bad
    (mark,) = Path(node.layout.state("bad")).iterdir()
    assert mark.stat().st_mode & 0o777 == 0o600


def test_an_unpacked_tree_is_whole_and_its_archive_is_gone(node: Node) -> None:
    release = a_release(node)
    deploy(node, release)
    (tree,) = [item for item in release.items if isinstance(item, Tree)]
    assert Path(tree.path, "a.py").read_text() == "x = 1\n"
    assert list(Path(node.layout.root, "blobs").iterdir()) == []


@pytest.mark.parametrize(
    "said",
    [b"hello\n", b"99999999999\n", b"4\nnull\n", b'16\n{"kind":"what?"}\n', frame(Commit(run_id="r1")), b"5\n{}}}}}\n"],
)
def test_what_is_not_the_protocol_is_refused_in_words(node: Node, said: bytes) -> None:
    assert of(Failed, talk(node, said)).code == "protocol"


def test_another_state_than_announced_is_refused(node: Node) -> None:
    said = talk(node, frame(Desired(state=a_release(node).state)), state_id="0" * 64)
    assert of(Failed, said).code == "protocol"


def test_attaching_gives_the_events_behind_a_number(node: Node) -> None:
    deploy(node, a_release(node))
    out = io.BytesIO()
    Tail(machine=node.machine, wire=Wire(io.BytesIO(), out), run_id="r1").follow(5)
    said = frames(MAGIC + out.getvalue())
    assert said[0].seq == 6  # type: ignore[union-attr]
    assert of(Done, said).outcome == "committed"


class _Gone(io.BytesIO):
    """An output whose other end goes away after some writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self._left = writes

    def write(self, data: Any) -> int:
        self._left -= 1
        if self._left < 0:
            raise BrokenPipeError
        return super().write(data)


def test_a_laptop_that_goes_away_after_its_commit_does_not_stop_the_run(node: Node) -> None:
    release = a_release(node)
    said = frame(Desired(state=release.state)) + parts(release) + frame(Commit(run_id="r1"))
    wire = Wire(io.BytesIO(said), _Gone(4))
    with pytest.raises(BrokenPipeError):
        Session(machine=node.machine, wire=wire, state_id="-", run_id="r1").run()
    assert releases.current_id(node.machine) == release.state.state_id


def unsafe(node: Node) -> dict[str, Callable[[Release], Release]]:
    layout = node.layout
    return {
        "the root": lambda r: r.file(layout.root, "x"),
        "records": lambda r: r.file(layout.state("receipt"), "x"),
        "the helper": lambda r: r.file(layout.helper, "x"),
        "a plist behind our back": lambda r: r.file(layout.plist("a.b"), "x"),
        "the system": lambda r: r.file("/usr/bin/env", "x"),
        "dots": lambda r: r.file(f"{layout.root}/etc/../state/x", "x"),
        "relative": lambda r: r.file("etc/x", "x"),
        "setuid": lambda r: r.file(layout.etc("x"), "x", mode=0o4755),
        "the apply job": lambda r: r.daemon("apply"),
        "twice": lambda r: r.file(layout.etc("x"), "x").file(layout.etc("x"), "y"),
        "a tree elsewhere": lambda r: r.add(
            Tree(task="t", role="env", name="n", path=layout.etc("t"), archive=sha(b""))
        ),
    }


@pytest.mark.parametrize(
    "name",
    ["the root", "records", "the helper", "a plist behind our back", "the system", "dots", "relative", "setuid",
     "the apply job", "twice", "a tree elsewhere"],
)  # fmt: skip
def test_an_unsafe_state_is_refused_before_anything(node: Node, name: str) -> None:
    release = unsafe(node)[name](node.release())
    said = talk(node, frame(Desired(state=release.state)))
    assert of(Failed, said).code == "unsafe"


def test_the_layout_of_another_adoption_is_refused(node: Node) -> None:
    other = Release(type(node.layout)(owner=USER)).file("/tmp/x", "x")
    assert of(Failed, talk(node, frame(Desired(state=other.state)))).code == "layout"


def test_what_was_a_secret_before_is_not_shown_when_it_is_none_any_more(node: Node) -> None:
    path = node.layout.etc("token")
    release = node.release()
    release.add(
        File(task="t", path=path, blob=release.blob(b"hidden"), mode=0o600, owner=USER, group=GROUP, sensitive=True)
    )
    deploy(node, release)
    said = talk(node, frame(Desired(state=node.release().file(path, "public").state)) + frame(Bye()))
    assert [step.action for step in of(Observed, said).steps] == ["update"]
    assert of(Observed, said).texts == {}


def test_a_commit_of_a_plan_that_another_run_overtook_is_refused(node: Node) -> None:
    deploy(node, a_release(node))
    release, other = a_release(node, "two"), a_release(node, "three")
    node.stage(release)

    class Overtaken(io.BytesIO):
        """Between the plan and the commit, somebody else deploys."""

        def readline(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                deploy(node, other, "r2")
            return super().readline(size)

    out = io.BytesIO()
    said = frame(Desired(state=release.state)) + frame(Commit(run_id="r1"))
    Session(machine=node.machine, wire=Wire(Overtaken(said), out), state_id="-", run_id="r1").run()
    assert of(Failed, frames(out.getvalue())).code == "moved"
    assert releases.current_id(node.machine) == other.state.state_id


def test_a_full_disk_is_said_in_words(node: Node) -> None:
    class Full(Disk):
        def directory(self, path: str, *, mode: int = 0o755, owner: str = "", group: str = "") -> None:
            raise OSError(errno.ENOSPC, "No space left on device", path)

    release = a_release(node)
    machine = replace(node.machine, disk=Full())
    out = io.BytesIO()
    said = frame(Desired(state=release.state)) + parts(release)
    assert Session(machine=machine, wire=Wire(io.BytesIO(said), out), state_id="-", run_id="r1").run() == 1
    failed = of(Failed, frames(out.getvalue()))
    assert (failed.code, "No space left" in failed.title) == ("disk", True)


def test_a_laptop_that_falls_silent_in_the_middle_of_an_upload_frees_the_node(node: Node) -> None:
    release = a_release(node)
    digest, content = next(iter(release.contents.items()))
    reading, writing = os.pipe()
    os.write(writing, frame(Desired(state=release.state)) + frame(BlobPart(digest=digest, offset=0, size=len(content))))
    pipe = Pipe(reading)
    wire = _Impatient(io.BufferedReader(pipe), io.BytesIO(), pipe=pipe)
    try:
        assert Session(machine=node.machine, wire=wire, state_id="-", run_id="r1").run() == 0
        with lock(node.machine, "r2", wait=False):
            pass
    finally:
        os.close(reading)
        os.close(writing)


class _Impatient(Wire):
    def expect_more_within(self, seconds: float, *, watcher: Watcher) -> None:
        assert seconds >= 60
        super().expect_more_within(0.05, watcher=watcher)
