"""A model moves to another node while clients stream from it: none is cut, none is refused, and a cut move goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.integration.conftest import Room, open_room
from tests.integration.streams import load, told, until

pytestmark = [pytest.mark.model, pytest.mark.long, pytest.mark.timeout(900), pytest.mark.xdist_group("move")]

CLIENTS = 6
TOKENS = (40, 80)
_SHARES = {"mac-2": "tiny", "mac-3": "scripted", "mac-4": "scripted"}


@pytest.fixture
def moving(tmp_path: Path) -> Iterator[Room]:
    """A front, one node with `tiny`, two with `scripted`."""
    room = open_room(tmp_path, nodes=4, models=("tiny", "scripted"), deployed=False)
    try:
        path = room.folder / "inventory" / "fleet.yml"
        data = yaml.safe_load(path.read_text())
        for name, variables in data["all"]["children"]["mlx"]["hosts"].items():
            variables["model"] = _SHARES[name]
        path.write_text("# ours, and it stays\n" + yaml.safe_dump(data, sort_keys=False))
        room.fleet("deploy", "--yes", timeout=400)
        yield room
    finally:
        room.sim("down")


def models(room: Room) -> dict[str, str]:
    data = yaml.safe_load((room.folder / "inventory" / "fleet.yml").read_text())
    return {name: one["model"] for name, one in data["all"]["children"]["mlx"]["hosts"].items()}


async def test_a_model_moves_under_streams_and_none_is_cut(moving: Room) -> None:
    words = ("model", "move", "tiny", "mac-2", "mac-3", "--yes")
    async with load(moving, clients=CLIENTS, model="tiny", tokens=TOKENS) as clients:
        await until(lambda: len(clients.running()) == CLIENTS)
        half = await asyncio.to_thread(moving.fleet, *words, expect=3, timeout=400)
        assert "mac-2 still does, too" in half.stderr
        assert models(moving) == {**_SHARES, "mac-3": "tiny"}
        whole = await asyncio.to_thread(moving.fleet, *words, "--leave", "scripted", timeout=400)
        assert "mac-3 serves tiny" in whole.stderr
    assert clients.troubles() == {}
    assert models(moving) == {"mac-2": "scripted", "mac-3": "tiny", "mac-4": "scripted"}
    assert (moving.folder / "inventory" / "fleet.yml").read_text().startswith("# ours, and it stays\n")
    assert moving.fleet("plan", "--exit-code").returncode == 0
    assert "mac-3 serves tiny" in moving.fleet(*words, timeout=400).stderr
    told(f"{len(clients.streams)} streams of {CLIENTS} clients while tiny moved from mac-2 to mac-3: none cut")
