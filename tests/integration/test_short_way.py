"""A deploy that changes nothing takes the short way; where that is not sure, it is as if there were none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import environment
from tests.integration.sshd import SshdRoom, needs_sshd, sshd_room

pytestmark = [pytest.mark.sshd, needs_sshd, pytest.mark.timeout(180)]

NOTE = {"name": "note", "file": {"dest": "site/note.txt", "content": "one\n"}}
HEAVY = ("fabric", "invoke.runners", "yaml", "jinja2", "click", "rich", "msgspec")


@pytest.fixture
def macs(tmp_path: Path) -> Iterator[SshdRoom]:
    """Two adopted Macs with a playbook that holds."""
    with sshd_room(tmp_path) as room:
        room.playbook(NOTE)
        room.deploy()
        room.deploy()  # the nodes' own words are as they were from here on
        yield room


def loaded(room: SshdRoom, *words: str) -> tuple[set[str], str]:
    """The modules that a deploy imports, and its last line."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "fleet", "deploy", "test", "--yes", *words],
        cwd=room.folder,
        env={**environment(), **room.extra},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stderr.splitlines()
    names = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time")}
    return names, lines[-1]


def test_the_second_deploy_of_what_holds_loads_little_and_is_one_session_a_node(macs: SshdRoom) -> None:
    with macs.log_of("mac-1") as one, macs.log_of("mac-2") as other:
        names, last = loaded(macs)
    assert last == "2 nodes, nothing to do"
    assert names.isdisjoint(HEAVY)
    assert [(log.connections, log.sessions) for log in (*one, *other)] == [(1, 1), (1, 1)]
    newest = max((macs.folder / ".fleet/runs").iterdir())
    events = [json.loads(line) for line in newest.read_text().splitlines()]
    assert {event["node"]: event["outcome"] for event in events} == {"mac-1": "unchanged", "mac-2": "unchanged"}


def test_drift_on_one_node_is_found_and_mended_all_the_same(macs: SshdRoom) -> None:
    note = macs.root("mac-2") / "site" / "note.txt"
    note.write_text("by hand\n")
    assert "1 changed" in macs.deploy().stderr
    assert note.read_text() == "one\n"


def test_a_change_of_the_playbook_is_deployed_at_once(macs: SshdRoom) -> None:
    macs.playbook({**NOTE, "file": {**NOTE["file"], "content": "two\n"}})  # type: ignore[dict-item]
    assert "2 changed" in macs.deploy().stderr
    assert (macs.root("mac-1") / "site" / "note.txt").read_text() == "two\n"


def test_another_host_key_is_told_as_ever_and_nothing_is_offered_to_it(macs: SshdRoom) -> None:
    macs.change_host_key("mac-1")
    with macs.log_of("mac-1") as logs:
        assert "its SSH key is not the pinned one" in macs.deploy(expect=None).stdout
    assert (logs[0].authentications, logs[0].sessions) == (0, 0)
