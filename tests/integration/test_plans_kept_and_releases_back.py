"""As typed, over simulated Macs: a plan for later, guards against going back by mistake, and going back on purpose."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Room, open_room
from tests.integration.story import standing

pytestmark = [pytest.mark.timeout(300)]

SITE = """\
- name: all
  hosts: all
  tasks:
    - {name: its settings, file: {dest: etc/worker.conf, content: "speed = 1\\n"}}
    - name: worker
      daemon:
        label: worker
        program: [/bin/sh, -c, "while :; do sleep 0.2; done"]
        restart_on: [etc/worker.conf]
"""


def git(room: Room, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
    words = ("git", "-C", str(room.folder), *identity, *words)
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def commit(room: Room, speed: int) -> str:
    """Write the playbook with that speed, and commit it."""
    site = room.folder / "playbooks" / "site.yml"
    site.parent.mkdir(exist_ok=True)
    site.write_text(SITE.replace("speed = 1", f"speed = {speed}"))
    git(room, "add", "-f", "playbooks")  # a simulation is ignored by git
    git(room, "commit", "-qm", f"speed {speed}")
    return git(room, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = Room(tmp_path_factory.mktemp("kept"))
    try:
        open_room(room.folder, nodes=1, deployed=False)
        git(room, "init", "-q", "-b", "main")
        yield room
    finally:
        room.sim("down")


def test_a_plan_is_done_as_it_was_shown_or_refused_and_a_node_goes_back_on_purpose_only(kept: Room) -> None:
    conf = kept.root("mac-1") / "etc" / "worker.conf"
    first = commit(kept, 1)
    kept.fleet("deploy", "--yes")

    second = commit(kept, 2)
    shown = kept.fleet("plan", "-o", "week.plan", "--exit-code", expect=5)
    assert f"git {second[:12]}" in shown.stdout
    assert "-speed = 1" in shown.stdout
    assert "speed" not in Path(kept.folder, "week.plan").read_text()

    # Somebody edits the very file: the diff that was agreed to is not what would happen.
    conf.write_text("speed = 9\n")
    moved = kept.fleet("deploy", "--plan", "week.plan", "--yes", expect=1)
    assert "files on the node are not what they were when the plan was made" in moved.stdout + moved.stderr
    assert conf.read_text() == "speed = 9\n"
    told = kept.json("drift", "mac-1", "--exit-code", expect=5)
    (one,) = told[0]["drifts"]  # type: ignore[index]
    assert one["key"].endswith("etc/worker.conf")
    assert one["written"]["owner"]
    conf.write_text("speed = 1\n")
    assert "as deployed" in kept.fleet("drift", "mac-1", "--verify", "--exit-code").stdout

    kept.fleet("deploy", "--plan", "week.plan", "--yes")
    assert conf.read_text() == "speed = 2\n"
    kept.fleet("deploy", "--plan", "week.plan", "--yes")  # done already: that is no move

    third = commit(kept, 3)
    sources = kept.fleet("deploy", "--plan", "week.plan", "--yes", expect=1)
    assert "make another state of it now than was planned" in sources.stdout + sources.stderr

    git(kept, "checkout", "-q", first)
    stale = kept.fleet("deploy", "--yes", expect=1)
    assert f"{second[:12]}, which is not part of this checkout" in stale.stdout + stale.stderr
    assert f"deploy leaves it alone: it was deployed from git commit {second[:12]}" in kept.fleet("plan").stdout
    assert conf.read_text() == "speed = 2\n"
    git(kept, "checkout", "-q", "main")
    assert git(kept, "rev-parse", "HEAD") == third

    live, before = kept.json("history", "mac-1")[0]["releases"]  # type: ignore[index]
    assert (live["made_live"]["git_commit"], before["made_live"]["git_commit"]) == (second, first)
    worker = standing(kept, "mac-1").pids
    back = kept.fleet("rollback", "mac-1", "--yes")
    assert "~ file etc/worker.conf" in back.stdout
    assert conf.read_text() == "speed = 1\n"
    assert standing(kept, "mac-1").pids != worker
    again = kept.json("history", "mac-1")[0]["releases"]  # type: ignore[index]
    assert again[0]["state_id"] == before["state_id"]
    assert (again[0]["made_live"]["action"], again[0]["made_live"]["git_commit"]) == ("rollback", first)

    kept.fleet("deploy", "--yes")  # forward again, from a checkout that holds what is live
    assert conf.read_text() == "speed = 3\n"


def test_a_saved_plan_names_no_nodes_and_no_playbook_twice(kept: Room) -> None:
    assert "--plan has its playbook" in kept.fleet("deploy", "--plan", "x", "--on", "mac-1", expect=2).stderr
    assert "cannot be read" in kept.fleet("deploy", "--plan", "nothing.plan", expect=2).stderr
    assert json.loads(kept.fleet("plan", "--json").stdout)["git_commit"]
