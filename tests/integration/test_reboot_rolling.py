"""`fleet reboot` on simulated Macs: one after the other, proved; and what is refused before anything is touched."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.conftest import Room, open_room
from tests.integration.story import lean

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("restarts")]
PASSWORD = "simulated"


@pytest.fixture(scope="module")
def restarts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """One front and one Mac with a worker, deployed."""
    room = open_room(tmp_path_factory.mktemp("restarts"), nodes=2, deployed=False)
    try:
        lean(room)
        room.fleet("deploy", "--yes")
        yield room
    finally:
        room.sim("down")


def boots(room: Room) -> dict[str, str]:
    """The boot id of every node."""
    found = {}
    for name in ("mac-1", "mac-2"):
        answer = room.fleet("exec", "--on", name, "--", "sysctl", "-n", "kern.bootsessionuuid")
        found[name] = answer.stdout.split()[-1]
    return found


def test_nodes_are_restarted_one_by_one_and_a_locked_one_only_with_its_password(restarts: Room) -> None:
    room = restarts
    first = boots(room)
    refused = room.fleet("reboot", "--on", "all", "--yes", expect=2)
    assert "--rolling restarts one after the other" in refused.stderr

    answer = room.fleet("reboot", "--on", "all", "--rolling", "--yes", "--json")
    events = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [(one["node"], one["outcome"]) for one in events if "outcome" in one] == [
        ("mac-1", "changed"), ("mac-2", "changed")
    ]  # fmt: skip
    ends = [one["seq"] for one in events if one["node"] == "mac-1"][-1]
    assert all(one["seq"] > ends for one in events if one["node"] == "mac-2"), "the second waited for the first"
    passed = [one["text"] for one in events if one["phase"] == "gate" and one["status"] == "ok"]
    assert any("healthz" in text for text in passed)
    audit = json.loads(room.fleet("audit", "--on", "all", "--json").stdout)["entries"]
    restarted = [(one["node"], one["outcome"], sorted(one["places"])) for one in audit if one["action"] == "reboot"]
    assert restarted == [(name, "committed", ["laptop", name]) for name in ("mac-1", "mac-2")], "one entry, two places"
    second = boots(room)
    assert all(first[name] != second[name] for name in first)

    room.sim("fault", "mac-2", "filevault=on")
    locked = room.fleet("reboot", "mac-2", "--yes", expect=1)
    assert "FileVault is on" in locked.stdout + locked.stderr
    assert boots(room)["mac-2"] == second["mac-2"]

    (room.folder / "secrets" / "vault.key").write_text(PASSWORD)
    (room.folder / "secrets" / "vault.key").chmod(0o600)
    unlocked = room.fleet("reboot", "mac-2", "--yes", "--authrestart", "file:secrets/vault.key")
    assert boots(room)["mac-2"] != second["mac-2"]
    assert PASSWORD not in unlocked.stdout + unlocked.stderr

    (room.folder / "secrets" / "vault.key").write_text("wrong")
    wrong = room.fleet("reboot", "mac-2", "--yes", "--authrestart", "file:secrets/vault.key", expect=1)
    assert "refuses to restart" in wrong.stdout + wrong.stderr
    room.sim("fault", "mac-2", "filevault", "--clear")


def test_a_service_restarts_alone_is_proved_and_written_down(restarts: Room) -> None:
    room = restarts
    before = room.pids()
    answer = room.fleet("restart", "mac-1", "gateway", "agent", "--json")
    events = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [one["outcome"] for one in events if "outcome" in one] == ["changed"]
    assert any(one["phase"] == "gate" and "healthz" in one["text"] for one in events)
    changed = {one for one, pid in room.pids().items() if pid != before[one]}
    assert {(node, label.rpartition(".")[2]) for node, label in changed} == {("mac-1", "gateway"), ("mac-1", "agent")}

    refused = room.fleet("restart", "mac-2", expect=1)
    assert "no sidecar runs here" in refused.stdout + refused.stderr
    assert "services of this node: " in refused.stdout + refused.stderr
    written = json.loads(room.fleet("audit", "--on", "all", "--json").stdout)["entries"]
    told = [(one["node"], one["outcome"], sorted(one["places"])) for one in written if one["action"] == "restart"]
    assert told == [("mac-1", "committed", ["laptop", "mac-1"]), ("mac-2", "failed", ["laptop"])]


def test_a_node_that_does_not_come_back_stops_the_rest_and_says_what_to_look_at(restarts: Room) -> None:
    room = restarts
    path = room.node("mac-1") / "sim" / "bin" / "shutdown"
    path.unlink()
    path.write_text("#!/bin/sh\nexit 0\n")  # it says that it restarts, and does not
    path.chmod(0o755)
    answer = room.fleet("reboot", "--on", "all", "--rolling", "--yes", "--back", "5s", expect=1)
    text = answer.stdout + answer.stderr
    assert "it did not come back within 5 s" in text
    assert "from the same boot" in text
    assert "mac-2: · skipped: not restarted: mac-1 failed" in text
    told = room.fleet("audit", "mac-1", "--offline").stdout.splitlines()[-1]
    assert "reboot  failed" in told
    assert "it did not come back" in told
