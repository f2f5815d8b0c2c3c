"""Killed or without power at any point, a node ends with the old release or the new one, never with a mix."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sync_kit import Node, Release, sha

from fleet.node.sync import releases
from fleet.node.sync.apply import apply
from fleet.node.sync.disk import Disk
from fleet.node.sync.leases import Leases
from fleet.node.sync.pending import hand_over, pending_run, read_request
from fleet.testing.launchd import Crash, FaultyDisk, Fuse
from fleet.vocabulary.contracts.desired import File, Pmset
from fleet.vocabulary.contracts.sync import Hold

SHOW = bool(os.environ.get("FLEET_SHOW"))


def old_release(node: Node) -> Release:
    etc, shared = node.layout.etc("agent.json"), node.layout.etc("shared.json")
    release = node.release().directory(f"{node.layout.root}/etc").file(etc, "one").file(shared, "both")
    release.add(Pmset(task="t", settings={"sleep": 0}))
    release.daemon("agent", "v1", reload={etc: sha(b"one").digest}, ports=(8791,))
    release.daemon("gateway", "gw", inputs={shared: sha(b"both").digest}, ports=(8790,))
    return release.daemon("sidecar.chat", "old", ports=(8800,))


def new_release(node: Node, *, program: str = "/bin/sh") -> Release:
    """A file, a plist, a program, a port and a setting differ; one daemon goes and another takes its port."""
    etc, shared = node.layout.etc("agent.json"), node.layout.etc("shared.json")
    release = node.release().directory(f"{node.layout.root}/etc").file(etc, "two").file(shared, "more")
    release.file(node.layout.etc("extra.json"), "x")
    release.add(Pmset(task="t", settings={"sleep": 0, "womp": 0}))
    release.daemon("agent", "v1", reload={etc: sha(b"two").digest}, ports=(8791,))
    release.daemon("gateway", "gw2", inputs={shared: sha(b"more").digest}, ports=(8790,))
    return release.daemon("sidecar.code", "new", program=program, ports=(8800,))


@dataclass(frozen=True)
class Scenario:
    name: str
    before: bool = True
    drift: bool = False
    program: str = "/bin/sh"


SECOND = Scenario("second")
SCENARIOS = (
    Scenario("first that fails", before=False, program="/nowhere"),
    Scenario("first ever", before=False),
    SECOND,
    Scenario("second that fails", program="/nowhere"),
    Scenario("repair of drift", drift=True),
)


def prepare(place: Path, scenario: Scenario) -> tuple[Node, Release | None, Release]:
    """A node with the older release live, and the newer one staged and handed over."""
    node = Node(place)
    old = old_release(node) if scenario.before else None
    if old is not None:
        assert node.deploy(old) == "committed"
    new = old if scenario.drift and old else new_release(node, program=scenario.program)
    if scenario.drift:
        Path(node.layout.etc("agent.json")).write_text("meddled")
        node.mac.jobs["org.fleet-macs.agent"].seen[node.layout.etc("agent.json")] = b"meddled"
    for release in filter(None, (old, new)):
        for item in release.state.daemons:
            node.mac.watched[item.label] = [*item.inputs, *item.reload]
            node.mac.ports[item.label] = list(item.ports)
    node.stage(new)
    run_id = node.request(new)
    request = read_request(node.machine, run_id)
    assert request is not None
    leases = Leases(machine=node.machine)
    fence, _ = leases.take(run_id, Hold(holder="ann@desk"))
    hand_over(node.machine, replace(request, fence=fence))
    leases.hand_over(fence)
    return node, old, new


def attempt(node: Node, after: int | None) -> str | None:
    """The apply job, killed after that many changes; its outcome, or None when it was."""
    fuse = Fuse(after)
    node.mac.fuse = fuse
    disk = FaultyDisk(fuse) if after is not None else Disk()
    try:
        return apply(replace(node.machine, disk=disk))
    except Crash:
        return None
    finally:
        node.mac.fuse = Fuse()


def assert_whole(node: Node, old: Release | None, new: Release) -> None:
    """The live release is one of the two, and all of it: on the disk, in launchd and in what processes have read."""
    assert pending_run(node.machine) is None
    assert Leases(machine=node.machine).held() is None
    live_id = releases.current_id(node.machine)
    known = {release.state.state_id: release for release in (new, old) if release}
    if live_id is None:
        assert old is None
        assert node.mac.pids() == {}
        assert list(Path(node.layout.daemons_dir).iterdir()) == []
        assert not Path(node.layout.root, "etc").exists()
        assert node.mac.pmset == {"sleep": "1", "womp": "1", "disksleep": "10"}
        return
    live = known[live_id]
    assert node.plan(live) == ()
    assert set(node.mac.jobs) == {item.label for item in live.state.daemons}
    files = {item.path: live.contents[item.blob.digest] for item in live.state.items if isinstance(item, File)}
    for item in live.state.daemons:
        job = node.mac.jobs[item.label]
        assert job.pid is not None
        assert job.raw == live.contents[item.plist.digest]
        assert job.seen == {path: files[path] for path in [*item.inputs, *item.reload]}
    assert node.mac.pmset["womp"] == ("1" if live is old else "0")
    assert (not Path(node.layout.etc("extra.json")).exists()) == (live is old)
    assert [path for path in Path(node.layout.root, "etc").iterdir() if path.suffix == ".new"] == []


@settings(max_examples=200 if SHOW else 50, deadline=None)
@given(
    scenario=st.sampled_from(SCENARIOS),
    first=st.integers(0, 220),
    second=st.none() | st.integers(0, 220),
    reboot=st.booleans(),
)
def test_a_run_that_dies_anywhere_ends_old_or_new(
    scenario: Scenario, first: int, second: int | None, *, reboot: bool
) -> None:
    with tempfile.TemporaryDirectory() as place:
        node, old, new = prepare(Path(place), scenario)
        outcome = attempt(node, first)
        if outcome is None:
            if reboot:
                node.mac.reboot(node.layout.daemons_dir)
            outcome = attempt(node, second)
        if outcome is None:
            outcome = attempt(node, None)
        assert outcome in ("committed", "reverted", None)
        assert_whole(node, old, new)
        live = releases.current_id(node.machine)
        if outcome == "committed":
            assert live == new.state.state_id
        if outcome == "reverted":
            assert live == (old.state.state_id if old else None)


def test_a_run_that_died_after_its_switch_is_finished(tmp_path: Path) -> None:
    after = 0
    while True:
        place = tmp_path / str(after)
        place.mkdir()
        node, old, new = prepare(place, SECOND)
        assert attempt(node, after) is None
        if any(event.key == "switch" for event in node.events()):
            break
        after += 7
    assert attempt(node, None) == "committed"
    assert_whole(node, old, new)


def test_what_stopped_a_run_is_told(tmp_path: Path) -> None:
    node, _, _ = prepare(tmp_path, SECOND)
    assert attempt(node, 40) is None
    node.mac.reboot(node.layout.daemons_dir)
    assert attempt(node, None) == "reverted"
    assert any("the machine was restarted" in event.text for event in node.events())


@pytest.mark.parametrize("torn", [b'{"kind":"event","seq":', b"\xff\n", b"[]\n"])
def test_a_torn_journal_is_cut_to_its_whole_lines(tmp_path: Path, torn: bytes) -> None:
    node, old, new = prepare(tmp_path, SECOND)
    assert attempt(node, 40) is None
    with Path(node.layout.run("run-2"), "journal.jsonl").open("ab") as journal:
        journal.write(torn)
    assert attempt(node, None) == "reverted"
    assert_whole(node, old, new)


class Flaw(Fuse):
    """A disk error, once, at the n-th step: the process lives on."""

    def burn(self) -> None:
        """One step further. Raises OSError when it is the one."""
        self.burnt += 1
        if self.burnt - 1 == self.left:
            raise OSError(28, "No space left on device")


@settings(max_examples=200 if SHOW else 25, deadline=None)
@given(scenario=st.sampled_from(SCENARIOS), at=st.integers(0, 150))
def test_a_disk_error_anywhere_ends_old_or_new(scenario: Scenario, at: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        node, old, new = prepare(Path(place), scenario)
        assert_ends_old_or_new(node, old, new, Flaw(at))


def assert_ends_old_or_new(node: Node, old: Release | None, new: Release, flaw: Flaw) -> str:
    try:
        outcome = apply(replace(node.machine, disk=FaultyDisk(flaw)))
    except OSError:
        outcome = None
    outcome = outcome or attempt(node, None)
    if outcome == "failed":
        assert pending_run(node.machine) is None
        assert "going back failed too" in node.end().text
        return outcome
    if old is not new or any(event.phase == "begin" for event in node.events()):  # else the drift is still there
        assert_whole(node, old, new)
    ended = [event.outcome for event in node.events() if event.phase == "end"]
    assert len(ended) == 1
    live = releases.current_id(node.machine)
    if not (old and old.state.state_id == new.state.state_id):
        assert live == (new.state.state_id if ended == ["committed"] else old.state.state_id if old else None)
    return ended[0] or ""


class FailingSwitch(Disk):
    """A disk that cannot put the `current` link in place."""

    def symlink(self, target: str, path: str) -> None:
        """No."""
        raise OSError(28, f"No space left on device: {target} {path}")


@pytest.mark.parametrize("before", [True, False])
def test_a_switch_that_fails_goes_back(tmp_path: Path, *, before: bool) -> None:
    node, old, new = prepare(tmp_path, Scenario("switch", before=before))
    assert apply(replace(node.machine, disk=FailingSwitch())) == "reverted"
    assert_whole(node, old, new)
    assert "could not be made the live one" in node.end().text


def test_a_revert_after_a_failed_switch_that_dies_is_gone_on_with(tmp_path: Path) -> None:
    node, old, new = prepare(tmp_path, SECOND)

    class DyingAfter(FailingSwitch):
        def remove(self, path: str) -> None:
            if any(event.phase == "revert" for event in node.events()):
                raise Crash
            super().remove(path)

    with pytest.raises(Crash):
        apply(replace(node.machine, disk=DyingAfter()))
    assert attempt(node, None) == "reverted"
    assert_whole(node, old, new)


def test_a_receipt_that_cannot_be_written_does_not_undo_a_release(tmp_path: Path) -> None:
    node, old, new = prepare(tmp_path, SECOND)
    receipt = node.layout.state("receipt")

    class NoReceipt(Disk):
        def write(self, path: str, content: bytes, *, mode: int, owner: str = "", group: str = "") -> None:
            if path == receipt:
                raise RuntimeError("odd")
            super().write(path, content, mode=mode, owner=owner, group=group)

    assert apply(replace(node.machine, disk=NoReceipt())) == "committed"
    assert_whole(node, old, new)
    assert not Path(receipt).exists()
