"""Two operators at one node, runs that are to be confirmed, and what the audit says: over OpenSSH's own sshd."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.sshd import SlowStep, SshdRoom, needs_sshd, sshd_room, until

pytestmark = [pytest.mark.sshd, needs_sshd, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def mac(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdRoom]:
    """One adopted Mac."""
    with sshd_room(tmp_path_factory.mktemp("safety"), nodes=1) as room:
        yield room


def note(text: str) -> dict[str, Any]:
    return {"name": "note", "file": {"dest": "site/note.txt", "content": text}}


def lease(room: SshdRoom) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((room.root("mac-1") / "state" / "lease.json").read_text())
    return found


def audit(room: SshdRoom) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(room.fleet("audit", "mac-1", "--json").stdout)["entries"]
    return found


def confirmed_play(room: SshdRoom, task: Mapping[str, Any], *, seconds: int) -> None:
    play = {"name": "test", "hosts": "all", "strategy": {"confirm": f"{seconds}s"}, "tasks": [task]}
    (room.folder / "playbooks" / "test.yml").write_text(yaml.safe_dump([play], sort_keys=False))


def test_a_node_that_is_stolen_goes_back_before_the_other_run_begins(mac: SshdRoom, tmp_path: Path) -> None:
    mac.playbook(note("first\n"))
    mac.deploy()
    slow = SlowStep(tmp_path)
    mac.playbook(note("theirs\n"), slow.task)
    try:
        with mac.deploying() as theirs:
            slow.wait_begun()
            fence = lease(mac)["fence"]
            mac.playbook(note("ours\n"))
            busy = mac.deploy(expect=1).stdout
            assert "is still going on there" in busy
            assert "--steal" in busy
            with mac.deploying("--steal") as ours:
                until(lambda: lease(mac)["fence"] > fence)
                slow.let_go()
                said, _ = ours.communicate(timeout=90)
                assert ours.returncode == 0, said
                assert "taken over from run" in said
            lost, _ = theirs.communicate(timeout=90)
            assert theirs.returncode == 1
            assert "took the node over" in lost
    finally:
        slow.let_go()
    assert (mac.root("mac-1") / "site" / "note.txt").read_text() == "ours\n"
    assert "nothing to do" in mac.deploy().stderr
    done = [(one["action"], one["outcome"]) for one in audit(mac)]
    assert done == [
        ("adopt", "committed"),
        ("deploy", "committed"),
        ("deploy", "reverted"),
        ("steal", "committed"),
        ("deploy", "committed"),
    ]
    deploys = [one for one in audit(mac) if one["action"] == "deploy"]
    assert all(one["places"] == ["mac-1", "laptop"] for one in deploys)
    assert all(one["key_fingerprint"].startswith("SHA256:") for one in deploys)
    assert deploys[-1]["before"] == deploys[0]["after"]
    assert "took the node over" in deploys[1]["text"]


def test_a_run_is_confirmed_over_a_connection_of_its_own(mac: SshdRoom) -> None:
    confirmed_play(mac, note("confirmed\n"), seconds=60)
    with mac.log_of("mac-1") as logs:
        mac.deploy()
    assert logs[0].connections == 2
    assert (mac.root("mac-1") / "site" / "note.txt").read_text() == "confirmed\n"
    confirms = [event["status"] for event in mac.last_run("mac-1") if event["phase"] == "confirm"]
    assert confirms == ["start", "ok"]


def test_a_run_whose_laptop_dies_before_it_confirms_goes_back(mac: SshdRoom) -> None:
    mac.playbook(note("stays\n"))
    mac.deploy()
    current = mac.current("mac-1")
    confirmed_play(mac, note("goes back\n"), seconds=3)
    with mac.wire("mac-1") as wire, mac.deploying("--json") as deploy:
        assert deploy.stdout
        for line in deploy.stdout:
            if json.loads(line)["phase"] == "stage":
                break
        wire.close()
        deploy.kill()
        deploy.wait()
    mac.wait_idle("mac-1")
    assert mac.current("mac-1") == current
    assert (mac.root("mac-1") / "site" / "note.txt").read_text() == "stays\n"
