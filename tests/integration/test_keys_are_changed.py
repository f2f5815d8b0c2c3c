"""Keys of gateways are changed under load, from one to the next: no request fails, and the old ones open nothing.

`make show-secret` changes the key of the whole fleet, too (FLEET_SHOW): three deploys of every node.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.integration.conftest import Room
from tests.integration.story import asked
from tests.integration.streams import load, until

pytestmark = [pytest.mark.model, pytest.mark.timeout(400), pytest.mark.xdist_group("room")]

SHOW = bool(os.environ.get("FLEET_SHOW"))
FLEET, GATEWAY = "file:secrets/fleet.key", "file:secrets/gateway.key"
LAID = "laid-there-by-a-change-that-was-stopped"


def lay_next(room: Room, name: str) -> None:
    """A change of that key was stopped as soon as it had begun."""
    path = room.folder / "secrets" / f"{name}.key.next"
    path.write_text(f"{LAID}-{name}\n")
    path.chmod(0o600)


def key_of(room: Room, name: str) -> str:
    return (room.folder / "secrets" / f"{name}.key").read_text().strip()


async def test_clients_notice_nothing_while_their_key_is_changed_and_both_open_until_it_is_finished(room: Room) -> None:
    before, old = room.pids(), key_of(room, "gateway")
    lay_next(room, "gateway")
    room.sim("fault", "mac-1", "sudo=refused")
    told = room.fleet("secret", "rotate", GATEWAY, "--yes", expect=None)
    room.sim("fault", "mac-1", "sudo", "--clear")
    assert told.returncode == 1
    assert "goes on where it stopped" in told.stderr
    assert key_of(room, "gateway") == old  # not one shows what not all take
    async with load(room, clients=2, model="scripted", tokens=(8,)) as clients:
        await until(lambda: len(clients.ended()) > 2)
        half = await asyncio.to_thread(room.fleet, "secret", "rotate", GATEWAY, "--yes")
        count = len(clients.ended())
        await until(lambda: len(clients.ended()) > count)  # with the old one still
    assert clients.troubles() == {}
    assert room.pids() == before  # reloaded, not restarted
    new = key_of(room, "gateway")
    assert new == f"{LAID}-gateway"
    assert "--finish" in half.stderr
    assert [asked(room, "/v1/models", key=key) for key in (old, new)] == [200, 200]
    last = room.fleet("secret", "rotate", GATEWAY, "--finish", "--yes")
    assert [asked(room, "/v1/models", key=key) for key in (old, new)] == [401, 200]
    assert sorted(path.name for path in (room.folder / "secrets").iterdir() if "key." in path.name) == []
    said = "".join(answer.stdout + answer.stderr for answer in (told, half, last))
    assert old not in said
    assert new not in said


def test_a_change_that_waits_is_not_carried_out_by_the_way(room: Room) -> None:
    inventory, old = room.folder / "inventory" / "fleet.yml", key_of(room, "gateway")
    was = inventory.read_text()
    try:
        room.set_variables(group="front", routes={"docs": ["scripted"]})
        told = room.fleet("secret", "rotate", GATEWAY, "--yes", expect=1)
        assert "other changes wait" in told.stderr
        assert "gateway.json" in told.stderr
        assert key_of(room, "gateway") == old
        assert not (room.folder / "secrets" / "gateway.key.next").exists()
    finally:
        inventory.write_text(was)


if SHOW:

    async def test_no_client_notices_that_the_key_of_the_fleet_is_changed(room: Room) -> None:
        before, old = room.pids(), key_of(room, "fleet")
        async with load(room, clients=2, model="scripted", tokens=(8,)) as clients:
            await until(lambda: len(clients.ended()) > 2)
            await asyncio.to_thread(room.fleet, "secret", "rotate", FLEET, "--yes")
        assert clients.troubles() == {}
        assert room.pids() == before
        assert [asked(room, "/v1/models", key=key) for key in (old, key_of(room, "fleet"))] == [401, 200]
        assert "nothing to do" in room.fleet("deploy", "--yes").stderr

    def test_one_edge_that_does_not_take_the_new_key_stops_the_change_before_it_is_shown(room: Room) -> None:
        old = key_of(room, "fleet")
        lay_next(room, "fleet")
        room.sim("fault", "mac-3", "sudo=refused")
        told = room.fleet("secret", "rotate", FLEET, "--yes", expect=None)
        room.sim("fault", "mac-3", "sudo", "--clear")
        assert told.returncode == 3
        assert key_of(room, "fleet") == old
        assert room.fleet("ask", "hello?").stdout == "Hello from the scripted model.\n"
        room.fleet("secret", "rotate", FLEET, "--yes")
        assert key_of(room, "fleet") == f"{LAID}-fleet"
        assert asked(room, "/v1/models", key=old) == 401
