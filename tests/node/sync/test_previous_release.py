"""One release apart: what the previous release left is read and taken on, and its laptop is still understood.

tests/samples/previous-release/ holds that release's own sync and records; generate.py there writes them anew.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import test_helper
from sync_kit import Node, Release, a_layout
from test_helper import Installed
from test_moved_since_shown import frame

from fleet.node.agent import history as agent_history
from fleet.node.agent.seriesquery import SeriesQuery
from fleet.node.agent.setup import load_config
from fleet.node.sync import releases
from fleet.node.sync.apply import apply
from fleet.node.sync.blobs import Blobs
from fleet.node.sync.disk import Disk
from fleet.node.sync.frames import Wire
from fleet.node.sync.journal import read_events
from fleet.node.sync.machine import Machine
from fleet.node.sync.session import Session
from fleet.testing.clock import FakeClock
from fleet.testing.launchd import FakeMac
from fleet.traffic.config import GatewayConfig
from fleet.vocabulary.contracts.codec import decode
from fleet.vocabulary.contracts.desired import DesiredState
from fleet.vocabulary.contracts.frames import FromNode, ToNode
from fleet.vocabulary.contracts.questions import History, ReadHistory, Recall, Recalled
from fleet.vocabulary.contracts.sync import MAGIC, BlobPart, Bye, Commit, Desired, Done, Hello, Observed

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "previous-release"
RELEASE = json.loads((SAMPLES / "release.json").read_text())


def old(place: Path, verb: str, text: str) -> dict[str, Any]:
    """What the previous release's laptop and sync do to the node, and what came of it."""
    files = [str(path) for path in (SAMPLES / "old_node.py", SAMPLES / "sync.zip", place)]
    command = [sys.executable, "-I", "-S", *files, verb, text]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    said: dict[str, Any] = json.loads(ran.stdout)
    said["by_kind"] = {one["kind"]: one for one in said.get("frames", ())}
    return said


def reopened(place: Path) -> Node:
    """The node that lies there, after a reboot of its Mac."""
    node = object.__new__(Node)
    node.layout, node.clock, node._runs = a_layout(place), FakeClock(), 0
    node.mac = FakeMac(node.clock)
    node.machine = Machine(layout=node.layout, disk=Disk(), host=node.mac, clock=node.clock)
    at_work: list[bool] = []

    def job() -> None:
        if not at_work:
            at_work.append(True)
            apply(node.machine)
            at_work.clear()

    node.mac.errands[node.layout.apply_label] = job
    node.mac.reboot(node.layout.daemons_dir)
    return node


def a_release(node: Node, text: str) -> Release:
    release = node.release().directory(f"{node.layout.root}/etc").file(node.layout.etc("a"), text)
    return release.tree("node", {"a.py": b"1"}).daemon("agent")


def say(node: Node, *said: bytes, run_id: str = "new-run", sync: str | None = None) -> dict[str, FromNode]:
    """A conversation of this release; the last frame of each kind."""
    out = io.BytesIO()
    wire = Wire(io.BytesIO(b"".join(said)), out)
    Session(machine=node.machine, wire=wire, state_id="-", run_id=run_id, sync=sync).run()
    text = out.getvalue()[len(MAGIC) :]
    found: dict[str, FromNode] = {}
    while text:
        size, _, text = text.partition(b"\n")
        kind: Any = FromNode
        one = decode(text[: int(size)], kind)
        found[one.kind] = one
        text = text[int(size) + 1 :]
    return found


def deploy(node: Node, release: Release, commit: Commit, *, sync: str | None = None) -> dict[str, FromNode]:
    """A deploy of this release to its end: only what the node lacks is sent."""
    node.watch(release)
    frames = [frame(Desired(state=release.state))]
    for want in Blobs(machine=node.machine, state=release.state).missing():
        content = release.contents[want.digest]
        frames.append(frame(BlobPart(digest=want.digest, offset=0, size=len(content)), content))
    said = say(node, *frames, frame(commit), run_id=commit.run_id, sync=sync)
    assert "failed" not in said, said["failed"]
    return said


def hello(node: Node) -> Hello:
    said = say(node, frame(Bye()))["hello"]
    assert isinstance(said, Hello)
    return said


def ask(node: Node, question: ToNode, kind: str) -> FromNode:
    return say(node, frame(question))[kind]


def test_what_the_previous_release_deployed_is_read_as_it_is(tmp_path: Path) -> None:
    left = old(tmp_path, "deploy", "one")
    assert left["by_kind"]["done"]["outcome"] == "committed"
    node = reopened(tmp_path)
    release = a_release(node, "one")
    assert release.state.state_id == left["state_id"] == hello(node).release
    assert node.plan(release) == ()
    assert (hello(node).live_fleet_version, hello(node).git_commit) == (None, None)
    assert read_events(node.machine, "old-run")[-1].outcome == "committed"
    kept = ask(node, ReadHistory(), "history")
    assert isinstance(kept, History)
    assert [(one.state_id, one.live) for one in kept.releases] == [(left["state_id"], True)]
    assert isinstance(ask(node, Recall(state_id=left["state_id"]), "recalled"), Recalled)


def test_the_first_deploy_takes_the_node_on_and_the_old_release_can_be_brought_back(tmp_path: Path) -> None:
    was = old(tmp_path, "deploy", "one")["state_id"]
    node = reopened(tmp_path)
    digest = "d" * 64
    Path(node.layout.sync(digest)).write_bytes(b"this release's sync")
    commit = Commit(run_id="new-run", git_commit="c" * 40, git_dirty=False, fleet_version="0.2.0")
    done = deploy(node, a_release(node, "two"), commit, sync=digest)["done"]
    assert isinstance(done, Done)
    assert done.outcome == "committed"
    assert node.machine.disk.link_target(node.layout.current_sync) == f"{digest}.pyz"
    now = hello(node)
    assert (now.live_fleet_version, now.git_commit, now.git_dirty) == ("0.2.0", "c" * 40, False)

    recalled = ask(node, Recall(state_id=was), "recalled")
    assert isinstance(recalled, Recalled)
    back = say(node, frame(Desired(state=recalled.state)), frame(Commit(run_id="new-run-2")), run_id="new-run-2")
    assert isinstance(back["observed"], Observed)
    assert back["observed"].missing == ()
    assert Path(node.layout.etc("a")).read_text() == "one"


def test_an_agent_of_another_release_is_started_anew(tmp_path: Path) -> None:
    old(tmp_path, "deploy", "one")
    node = reopened(tmp_path)
    release = node.release().directory(f"{node.layout.root}/etc").file(node.layout.etc("a"), "one")
    release.tree("node", {"a.py": b"2"}).daemon("agent", "-c", "of this release")
    actions = {step.key: step.action for step in node.plan(release)}
    assert actions[f"daemon:{node.layout.label('agent')}"] == "rebootstrap"


def test_the_previous_laptop_still_sees_and_deploys_to_a_node_of_this_release(tmp_path: Path) -> None:
    old(tmp_path, "deploy", "one")
    node = reopened(tmp_path)
    deploy(node, a_release(node, "two"), Commit(run_id="new-run", git_commit="c" * 40, fleet_version="0.2.0"))
    live = releases.current_id(node.machine)

    seen = old(tmp_path, "look", "two")
    assert seen["state_id"] == seen["by_kind"]["hello"]["release"] == live
    assert seen["by_kind"]["observed"]["steps"] == []

    shutil.rmtree(Path(node.layout.run("old-run")))
    back = old(tmp_path, "deploy", "three")
    assert back["by_kind"]["done"]["outcome"] == "committed"
    node = reopened(tmp_path)
    # What an older fleet deployed, an older fleet says nothing of: no stale commit is believed.
    now = hello(node)
    assert (now.release, now.git_commit, now.live_fleet_version) == (back["state_id"], None, None)
    kept = ask(node, ReadHistory(), "history")
    assert isinstance(kept, History)
    assert kept.releases[0].state_id == back["state_id"]
    assert live in {one.state_id for one in kept.releases}


def test_a_run_that_the_previous_release_left_in_its_middle_is_finished(tmp_path: Path) -> None:
    old(tmp_path, "deploy", "one")
    left = old(tmp_path, "stop", "two")
    node = reopened(tmp_path)
    assert hello(node).active_run in (left["run"], None)  # the hello wakes the apply job
    apply(node.machine)
    assert releases.current_id(node.machine) == left["state_id"]
    assert Path(node.layout.etc("a")).read_text() == "two"


@pytest.fixture
def both(tmp_path: Path) -> Node:
    """A node after a deploy of this release."""
    node = Node(tmp_path)
    node.mac.sysctl["kern.osversion"] = "24G222"
    assert node.deploy(a_release(node, "one")) == "committed"
    return node


def installed(node: Node, place: Path) -> Installed:
    helper = Installed(node, place)
    (helper.values / "kern.osversion").write_text("24G222\n")
    for label, job in node.mac.jobs.items():
        (helper.prints / label).write_text(f"system/{label} = {{\n\tstate = running\n\tpid = {job.pid}\n}}\n")
    return helper


def test_the_previous_helper_understands_a_receipt_of_this_release(
    both: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_helper, "HELPER", (SAMPLES / "helper.sh").read_text())
    helper = installed(both, tmp_path)
    assert helper.idle(a_release(both, "one").state.state_id)
    Path(both.layout.etc("a")).write_text("by hand")
    assert not helper.idle(a_release(both, "one").state.state_id)


def test_this_helper_understands_a_receipt_of_the_previous_release(tmp_path: Path) -> None:
    left = old(tmp_path, "deploy", "one")
    helper = installed(reopened(tmp_path), tmp_path)
    assert helper.idle(left["state_id"])
    helper.override(helper.node.layout.label("agent"), "disabled")  # that receipt does not mind it
    assert helper.idle(left["state_id"])


def test_a_state_keeps_its_name() -> None:
    assert decode((SAMPLES / "state.json").read_bytes(), DesiredState).state_id == RELEASE["state_id"]


def test_configurations_of_the_previous_release_are_read() -> None:
    assert load_config(SAMPLES / "agent.json").node
    assert msgspec.json.decode((SAMPLES / "gateway.json").read_bytes(), type=GatewayConfig)


def test_a_history_of_the_previous_agent_goes_on(tmp_path: Path) -> None:
    shutil.copy(SAMPLES / "history.sqlite3", tmp_path / "history.sqlite3")
    clock = FakeClock()
    history = agent_history.History(tmp_path / "history.sqlite3", clock, node="mini-1", pace_seconds=5.0)
    start = clock.now().timestamp()
    clock.advance(15)
    query = SeriesQuery(since_seconds=start, until_seconds=start + 15, step_seconds=None, fields=("cpu_ratio",))
    assert history.series(query).values["cpu_ratio"] == (0.1, 0.2, 0.3)
    assert history.reading.resets_total == 0
    history.close()
