"""A laptop that has neither a network, a package index, a hub nor a cache deploys a whole fleet out of one file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fleet.control.supply.uvtool import uv_path
from tests.integration.conftest import Room
from tests.integration.openclawstandin import archives_of, with_openclaw

pytestmark = [pytest.mark.timeout(300)]

NOTED = """
import sys

def note(event, args):
    if event == "subprocess.Popen":
        words = [str(args[0]), *map(str, args[1])]
    elif event == "import" and args[0] == "huggingface_hub":
        words = ["import", args[0]]
    elif event == "socket.getaddrinfo":
        words = ["ask", str(args[0])]
    else:
        return
    with open({log!r}, "a") as log:
        log.write(" ".join(words) + "\\n")

sys.addaudithook(note)
"""
NOWHERE = "http://127.0.0.1:9"


def alone(room: Room, place: Path) -> tuple[Room, Path]:
    """The same project on a laptop that has nothing, and where it notes what it starts."""
    hooks, log = place / "hooks", place / "started.log"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(NOTED.format(log=str(log)))
    without = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), NOWHERE)
    index = dict.fromkeys(("UV_INDEX_URL", "UV_DEFAULT_INDEX", "HF_ENDPOINT"), f"{NOWHERE}/simple")
    caches = {"FLEET_CACHE": str(place / "empty"), "UV_CACHE_DIR": str(place / "empty-uv")}
    extra = {**without, **index, **caches, "UV_FIND_LINKS": "", "PYTHONPATH": str(hooks)}
    return replace(room, extra={**room.extra, **extra}), log


@pytest.mark.model
def test_a_laptop_without_anything_deploys_out_of_a_bundle(
    own_room: Room, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("carried")
    bundle = place / "all.bundle"
    npm = with_openclaw(own_room)
    said = replace(own_room, extra=npm).fleet("bundle", "-o", str(bundle), "--weights").stdout
    assert str(bundle) in said
    offline, log = alone(own_room, place)
    models = own_room.folder / "models"
    for weights in [path for path in models.iterdir() if path.is_dir()]:
        weights.rename(place / weights.name)
    offline.fleet("deploy", "--yes", "--bundle", str(bundle))
    started = log.read_text().splitlines()
    assert started  # it noted something, so it would have noted these
    assert not [line for line in started if uv_path() in line or line.startswith("import")]
    assert {line.split()[1] for line in started if line.startswith("ask")} <= {"127.0.0.1", "localhost"}
    assert "nothing to do" in offline.fleet("deploy", "--yes", "--bundle", str(bundle)).stderr
    assert "nothing to do" in own_room.fleet("deploy", "--yes").stderr  # the same state, had another way
    assert offline.fleet("ask", "hello?").stdout == "Hello from the scripted model.\n"
    assert own_room.services("mac-1")["org.fleet-macs.openclaw"]["state"] == "running"
    assert len(archives_of(own_room)) == 2
    cut = place / "cut.bundle"
    cut.write_bytes(bundle.read_bytes()[:100_000])
    answer = offline.fleet("deploy", "--yes", "--bundle", str(cut), expect=1)
    assert answer.stderr.count("hint:") == 1
    assert "cut.bundle" in answer.stderr
