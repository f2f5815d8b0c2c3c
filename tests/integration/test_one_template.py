"""A change touches exactly what depends on it: one template one daemon, routes and keys no process at all."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.integration.conftest import Room, open_room
from tests.integration.story import LEAN, asked, lean

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

AGENT, GATEWAY, WORKER = (f"org.fleet-macs.{name}" for name in ("agent", "gateway", "worker"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Two deployed Macs without models: a front, a worker, an agent on each; tests leave them as they were."""
    room = Room(tmp_path_factory.mktemp("pair"))
    try:
        open_room(room.folder, nodes=2, deployed=False)
        lean(room)
        room.fleet("deploy", "--yes")
        yield room
    finally:
        room.sim("down")


def planned(room: Room) -> Mapping[str, Mapping[str, dict[str, Any]]]:
    """node -> label or kind:name -> the change."""
    nodes = json.loads(room.fleet("plan", "--json").stdout)["nodes"]
    return {
        node: {change["key"].removeprefix("daemon:"): change for change in entry["changes"]}
        for node, entry in nodes.items()
        if entry["changes"]
    }


def moved(before: Mapping[tuple[str, str], object], after: Mapping[tuple[str, str], object]) -> set[tuple[str, str]]:
    """Which services have another process."""
    assert before.keys() == after.keys()
    return {key for key in before if before[key] != after[key]}


@pytest.mark.long
@pytest.mark.xdist_group("gates")
def test_one_template_restarts_its_own_daemon_on_every_node_and_no_other(pair: Room) -> None:
    before = pair.pids()
    path = pair.own("templates/launchd", "agent.plist.j2")
    path.write_text(path.read_text().replace("<integer>{{ daemon.throttle_seconds }}", "<integer>17"))

    shown = pair.fleet("plan").stdout
    assert f"~ daemon {AGENT}  restart: its plist changes\n        ThrottleInterval: 10 -> 17\n" in shown
    assert "2 daemons touched" in shown
    changes = planned(pair)
    assert {node: list(keys) for node, keys in changes.items()} == {"mac-1": [AGENT], "mac-2": [AGENT]}
    assert changes["mac-1"][AGENT]["diff"] == ["ThrottleInterval: 10 -> 17"]

    pair.fleet("deploy", "--yes")
    after = pair.pids()
    assert moved(before, after) == {("mac-1", AGENT), ("mac-2", AGENT)}
    assert planned(pair) == {}

    path.unlink()
    pair.fleet("deploy", "--yes")
    assert moved(after, pair.pids()) == {("mac-1", AGENT), ("mac-2", AGENT)}
    assert "nothing to do" in pair.fleet("plan", "--exit-code").stdout


@pytest.mark.xdist_group("gates")
def test_a_file_restarts_or_reloads_only_the_daemon_that_lists_it(pair: Room) -> None:
    before, site = pair.pids(), lean(pair)
    site.write_text(LEAN.replace("speed = 1", "speed = 2"))
    changes = planned(pair)
    assert set(changes) == {"mac-2"}
    assert {key.split("/")[-1]: change["action"] for key, change in changes["mac-2"].items()} == {
        "worker.conf": "update",
        WORKER: "restart",
    }
    shown = pair.fleet("plan").stdout
    assert "        -speed = 1\n        +speed = 2\n" in shown
    assert f"~ daemon {WORKER}  restart: etc/worker.conf changes\n" in shown
    pair.fleet("deploy", "--yes")
    restarted = pair.pids()
    assert moved(before, restarted) == {("mac-2", WORKER)}

    site.write_text(LEAN.replace("speed = 1", "speed = 2").replace("be kind", "be quick"))
    changes = planned(pair)
    assert {key.split("/")[-1]: change["action"] for key, change in changes["mac-2"].items()} == {
        "worker.hints": "update",
        WORKER: "reload",
    }
    pair.fleet("deploy", "--yes")
    assert pair.pids() == restarted

    lean(pair)
    pair.fleet("deploy", "--yes")
    assert "nothing to do" in pair.fleet("plan", "--exit-code").stdout


@pytest.mark.xdist_group("room")
def test_routes_and_keys_reload_the_gateway_and_change_no_process(room: Room) -> None:
    before = room.pids()
    inventory, key = room.folder / "inventory" / "fleet.yml", room.folder / "secrets" / "gateway.key"
    was, old = inventory.read_text(), key.read_text()
    try:
        room.set_variables(group="front", routes={"docs": ["scripted"]})
        key.write_text(f"sk-{secrets.token_hex(16)}\n")
        changes = planned(room)
        assert set(changes) == {"mac-1"}
        assert {name.split("/")[-1]: change["action"] for name, change in changes["mac-1"].items()} == {
            "gateway.json": "update",
            "keys.json": "update",
            GATEWAY: "reload",
        }
        plan = room.fleet("plan").stdout
        assert f"~ daemon {GATEWAY}  reload: " in plan
        assert key.read_text().strip() not in plan

        room.fleet("deploy", "--yes")
        assert room.pids() == before
        assert room.fleet("ask", "--route", "docs", "hello?").stdout == "Hello from the scripted model.\n"
        assert asked(room, "/v1/models") == 200
        assert asked(room, "/v1/models", key=old.strip()) == 401
    finally:
        inventory.write_text(was)
        key.write_text(old)
        room.fleet("deploy", "--yes")
    assert room.pids() == before
    assert "nothing to do" in room.fleet("plan", "--exit-code").stdout
