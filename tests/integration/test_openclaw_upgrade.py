"""Another Node.js, another OpenClaw, another file: what fails goes back whole, and what is well is one restart."""

from __future__ import annotations

import hashlib
import json
import plistlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.integration.conftest import Room, open_room
from tests.integration.openclawstandin import archives_of, runtime_archive, with_openclaw

pytestmark = [pytest.mark.long, pytest.mark.model, pytest.mark.timeout(600)]

LABEL = "org.fleet-macs.openclaw"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """One Mac: front, sidecar and a stand-in for OpenClaw, deployed."""
    bare = open_room(tmp_path_factory.mktemp("claws"), nodes=1, deployed=False)
    try:
        made = replace(bare, extra=with_openclaw(bare))
        refused_at_first(made)
        made.fleet("deploy", "--yes", "--force")
        yield made
    finally:
        bare.sim("down")


def twin(room: Room) -> Path:
    """What OpenClaw's own installer leaves."""
    plist = room.node("mac-1") / "home/Library/LaunchAgents/ai.openclaw.gateway.plist"
    plist.parent.mkdir(parents=True, exist_ok=True)
    words = ["/usr/local/bin/node", "/usr/local/lib/node_modules/openclaw/dist/index.js", "gateway"]
    plist.write_bytes(plistlib.dumps({"Label": "ai.openclaw.gateway", "ProgramArguments": words}))
    return plist


def refused_at_first(room: Room) -> None:
    """A first deploy beside a job of OpenClaw's own: advice, and a node as it was."""
    plist = twin(room)
    failed = room.fleet("deploy", "--yes", expect=1)
    assert "openclaw gateway uninstall" in failed.stdout
    assert "reverted: the node is as it was before" in failed.stdout
    assert LABEL not in room.services("mac-1")
    plist.unlink()


def program(room: Room) -> str:
    """The OpenClaw that its plist starts."""
    plist = plistlib.loads((room.node("mac-1") / f"Library/LaunchDaemons/{LABEL}.plist").read_bytes())
    return str(plist["ProgramArguments"][2])


def pin(room: Room, runtime: Path) -> None:
    """Let the inventory name another Node.js."""
    digest = hashlib.sha256(runtime.read_bytes()).hexdigest()
    room.set_variables(group="openclaw", openclaw_node_url=runtime.as_uri(), openclaw_node_sha256=digest)


def lock(room: Room, version: str) -> None:
    """Let the project lock another OpenClaw."""
    (room.folder / "locks/openclaw/package.json").write_text(json.dumps({"version": version}))


def test_another_openclaw_is_one_restart_and_a_rollback_finds_the_old_one_where_it_was(room: Room) -> None:
    before, pids = program(room), room.pids()
    lock(room, "2")
    plan = room.fleet("plan").stdout
    assert "tree archive openclaw" in plan
    assert "1 daemon touched" in plan
    room.fleet("deploy", "--yes")
    assert program(room) != before
    after = room.pids()
    assert {label for (_, label), pid in after.items() if pid != pids[("mac-1", label)]} == {LABEL}
    room.fleet("rollback", "mac-1", "--yes")
    assert program(room) == before
    assert len(archives_of(room)) == 3
    lock(room, "1")
    assert "nothing to do" in room.fleet("plan").stdout


def test_a_node_js_that_cannot_start_it_goes_back_with_its_plist(room: Room) -> None:
    before = program(room)
    pin(room, runtime_archive(room, gateway="raise SystemExit('this Node.js is too old')", name="old.tar.gz"))
    failed = room.fleet("deploy", "--yes", expect=1)
    assert "this Node.js is too old" in failed.stdout
    assert "reverted: the node is as it was before" in failed.stdout
    assert program(room) == before
    assert room.services("mac-1")[LABEL]["state"] == "running"
    pin(room, room.folder / "node.tar.gz")
    assert "nothing to do" in room.fleet("plan").stdout


def test_a_file_that_openclaw_refuses_goes_back(room: Room) -> None:
    site = room.folder / "playbooks" / "site.yml"
    plays = yaml.safe_load(site.read_text())
    good = site.read_text()
    plays[-1]["tasks"][-1]["daemon"]["settings"] = {"gatway": {}}
    site.write_text(yaml.safe_dump(plays, sort_keys=False))
    failed = room.fleet("deploy", "--yes", expect=1)
    assert "reverted: the node is as it was before" in failed.stdout
    site.write_text(good)
    assert "nothing to do" in room.fleet("plan").stdout


def test_a_job_of_openclaws_own_is_taken_over_and_comes_back_when_the_deploy_fails(room: Room) -> None:
    site = room.folder / "playbooks" / "site.yml"
    good = site.read_text()
    plays = yaml.safe_load(good)
    plays[-1]["tasks"][-1]["daemon"] |= {"existing": "adopt", "settings": {"gatway": {}}}
    site.write_text(yaml.safe_dump(plays, sort_keys=False))
    plist = twin(room)
    assert "reverted: the node is as it was before" in room.fleet("deploy", "--yes", expect=1).stdout
    assert plist.exists()
    plays[-1]["tasks"][-1]["daemon"]["settings"] = {"logging": {"level": "warn"}}
    site.write_text(yaml.safe_dump(plays, sort_keys=False))
    room.fleet("deploy", "--yes")
    assert not plist.exists()
    site.write_text(good)
    room.fleet("deploy", "--yes")


def test_status_and_doctor_know_the_service(room: Room) -> None:
    assert "openclaw" in json.dumps(room.json("status", expect=None))
    found = json.dumps(room.json("doctor", expect=None))
    assert "OpenClaw is ready" in found
    assert "every variable of it is set" in found


def test_a_key_that_is_changed_reaches_the_front_and_openclaw_in_one_deploy(room: Room) -> None:
    key = room.folder / "secrets" / "openclaw.key"
    key.write_text("f" * 48)
    plan = room.fleet("plan").stdout
    assert "etc/openclaw.env" in plan
    assert "etc/keys.json" in plan
    assert "f" * 48 not in plan
    room.fleet("deploy", "--yes")
    assert "f" * 48 in (room.root("mac-1") / "etc/openclaw.env").read_text()
    assert "nothing to do" in room.fleet("plan").stdout
