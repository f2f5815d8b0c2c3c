"""Uninstall leaves no daemon and no file of fleet on a node; what follows starts from nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import Room
from tests.integration.story import lean, until

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("gates"), pytest.mark.timeout(300)]


def left_of_fleet(room: Room, node: str) -> list[str]:
    """Every path below the node's tree that is fleet's: its root, plists, sudoers entry, and anything by its name."""
    tree = room.node(node)
    places = [room.root(node), *(tree / "Library" / "LaunchDaemons").glob("*"), *(tree / "etc").glob("sudoers.d/*")]
    found = {path for path in places if path.exists()}
    found |= {path for path in tree.rglob("*") if "fleet" in path.name and tree / "sim" not in path.parents}
    return sorted(str(path.relative_to(tree)) for path in found)


def health(room: Room) -> set[str]:
    """What status says of the nodes."""
    rows = room.json("status", expect=None)["rows"]
    assert isinstance(rows, list)
    return {row["health"] for row in rows}


def below(folder: Path) -> dict[str, bytes]:
    """The files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long
def test_nothing_is_left_but_what_is_to_be_kept_and_the_node_can_be_had_again(own_room: Room) -> None:
    room = own_room
    lean(room)
    room.fleet("deploy", "--yes")
    assert room.services("mac-1")
    var = room.root("mac-2") / "var"
    (var / "ledger.sqlite").write_bytes(b"of a service")
    model = room.root("mac-2") / "models" / "mine@0123456789abcdef"
    model.mkdir(parents=True)
    (model / "weights").write_bytes(b"many")

    kept = room.fleet("uninstall", "mac-2", "--keep-data", "--yes")
    first, *steps = kept.stdout.splitlines()
    assert first == f"mac-2: removed ({len(steps)} steps)"
    assert all(step.endswith(("removed", "removed but for models, var", " again")) for step in steps)
    assert "  pmset sleep is 1 again" in steps
    assert room.services("mac-2") == {}
    assert sorted(path.name for path in room.root("mac-2").iterdir()) == ["models", "var"]
    assert below(var)["ledger.sqlite"] == b"of a service"
    assert below(model) == {"weights": b"many"}
    assert left_of_fleet(room, "mac-2") == ["opt/fleet"]

    room.fleet("uninstall", "mac-1", "--yes")
    assert room.services("mac-1") == {}
    assert left_of_fleet(room, "mac-1") == []
    assert "mac-1: nothing of fleet there" in room.fleet("uninstall", "mac-1", "--yes").stdout

    gone = room.fleet("plan", expect=None)
    assert gone.returncode not in (0, 5)
    assert "fleet adopt" in gone.stdout + gone.stderr

    room.fleet("adopt", "--all", "--yes")
    room.fleet("deploy", "--yes")
    assert "nothing to do" in room.fleet("plan", "--exit-code").stdout
    until(lambda: health(room) == {"ok"})
    assert below(var)["ledger.sqlite"] == b"of a service"
