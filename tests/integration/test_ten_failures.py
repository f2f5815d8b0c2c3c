"""Failures that a deploy must survive, as a user meets them: the command, simulated Macs, trouble in the middle.

FAILURES.md beside this file names the tests for each failure of the study; those that no other test has are here.
After each of them every node is what it was or what it should be, all of it, and the same command ends the story.
"""

from __future__ import annotations

import ast
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.integration.conftest import Room, environment, open_room
from tests.integration.story import lean, standing, until

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("failures")]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIST = (HERE / "FAILURES.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", LIST)))
TEN = (
    "Connection lost mid-deploy", "Partial upload", "Disk full", "Two operators", "Laptop sleeps",
    "Node reboots mid-apply", "Bad plist", "New version crash-loops", "Clock skew", "Host key changed",
)  # fmt: skip
BESIDE = (
    "SSH answers, sudo fails", "A login shell prints", "The agent holds ten keys", "A bastion drops half",
    "launchctl hangs", "`current` is a directory", "Uptime over 49 days", "Two labels on one port",
    "Weights half downloaded", "Stale checkout",
)  # fmt: skip
NODES = ("mac-1", "mac-2")


# ---------------------------------------------------------------- the list


@cache
def _functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    return frozenset(one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_named_test_exists(file: str, name: str) -> None:
    assert name in _functions_of(ROOT / file)


@pytest.mark.parametrize("failure", [*TEN, *BESIDE])
def test_every_failure_is_on_the_list_with_a_test(failure: str) -> None:
    rows = [line for line in LIST.splitlines() if line.startswith(f"| {failure} |")]
    assert len(rows) == 1
    assert "::" in rows[0]


# ---------------------------------------------------------------- the stories


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A front, and a Mac with a worker; deployed. Each test leaves them as they should be."""
    room = open_room(tmp_path_factory.mktemp("pair"), nodes=2, deployed=False)
    try:
        lean(room)
        room.fleet("deploy", "--yes")
        yield room
    finally:
        room.sim("down")


def another_release(room: Room) -> str:
    """Let the worker's settings be others, so that it is restarted; what is in them now."""
    word = secrets.token_hex(4)
    site = room.folder / "playbooks" / "site.yml"
    site.write_text(re.sub(r'content: "speed = [^"]*"', f'content: "speed = {word}\\\\n"', site.read_text()))
    return f"speed = {word}\n"


def settings_of(room: Room) -> str:
    """What the worker's settings are on its node."""
    return (room.root("mac-2") / "etc" / "worker.conf").read_text()


def start_deploy(room: Room) -> subprocess.Popen[str]:
    """A deploy in the background, its events on stdout."""
    return subprocess.Popen(
        [sys.executable, "-m", "fleet", "deploy", "--yes", "--json"],
        cwd=room.folder,
        env={**environment(), **room.extra},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def reads_until(deploy: subprocess.Popen[str], node: str, phase: str) -> None:
    """Until the run says that a node has come to a phase."""
    assert deploy.stdout is not None
    heard: list[str] = []
    for line in deploy.stdout:
        heard.append(line)
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("node") == node and event.get("phase") == phase:
            return
    raise AssertionError("".join(heard))


def end_well(room: Room, wanted: str) -> None:
    """The same command makes it good, whatever became of it; and then there is nothing to do."""
    again = ("deploy", "--yes", "--force")
    until(lambda: room.fleet(*again, expect=None).returncode == 0, within_seconds=120)  # a run may be at work there yet
    assert settings_of(room) == wanted
    room.fleet("plan", "--exit-code")


@pytest.mark.parametrize("phase", ["check", "stage", "apply", "gate"])
def test_a_laptop_that_is_killed_in_any_phase_leaves_every_node_old_or_new(pair: Room, phase: str) -> None:
    before = settings_of(pair)
    wanted = another_release(pair)
    deploy = start_deploy(pair)
    reads_until(deploy, "mac-2", phase)
    os.killpg(deploy.pid, signal.SIGKILL)
    deploy.communicate()
    until(lambda: not (pair.root("mac-2") / "state" / "pending").exists(), within_seconds=60)
    assert settings_of(pair) in (before, wanted)
    end_well(pair, wanted)


@pytest.mark.parametrize("trouble", ["panic", "reboot"])
def test_a_node_that_restarts_in_the_middle_comes_back_old_or_new(pair: Room, trouble: str) -> None:
    before = settings_of(pair)
    wanted = another_release(pair)
    deploy = start_deploy(pair)
    reads_until(deploy, "mac-2", "apply")
    pair.sim("fault", "mac-2", trouble)
    output, _ = deploy.communicate(timeout=120)
    assert "Traceback" not in output
    until(lambda: not (pair.root("mac-2") / "state" / "pending").exists(), within_seconds=60)
    assert settings_of(pair) in (before, wanted)
    end_well(pair, wanted)


def test_a_laptop_that_sleeps_while_a_node_applies_tells_the_truth_when_it_wakes(pair: Room) -> None:
    wanted = another_release(pair)
    deploy = start_deploy(pair)
    reads_until(deploy, "mac-2", "apply")
    os.killpg(deploy.pid, signal.SIGSTOP)
    try:
        until(lambda: not (pair.root("mac-2") / "state" / "pending").exists(), within_seconds=60)
        assert settings_of(pair) == wanted, "the node does not wait for a laptop"
    finally:
        os.killpg(deploy.pid, signal.SIGCONT)
    output, _ = deploy.communicate(timeout=120)
    assert deploy.returncode == 0, output
    end_well(pair, wanted)


def test_two_operators_at_once_get_one_release_and_one_refusal_that_names_the_other(pair: Room) -> None:
    wanted = another_release(pair)
    both = [start_deploy(pair), start_deploy(pair)]
    outputs = [one.communicate(timeout=120)[0] for one in both]
    codes = sorted(one.returncode for one in both)
    assert codes[0] == 0, outputs
    if codes[1]:  # else the second came when the first was done, and found nothing to do
        loser = outputs[[one.returncode != 0 for one in both].index(True)]
        assert re.search(r"busy|still going on|another run", loser), loser
    assert settings_of(pair) == wanted
    end_well(pair, wanted)


def test_a_full_disk_changes_nothing_and_is_said_in_words(pair: Room) -> None:
    before = {node: standing(pair, node) for node in NODES}
    site = pair.folder / "playbooks" / "site.yml"
    text = site.read_text()
    big = f"    - {{name: big, file: {{dest: etc/worker.big, content: {'x' * 200_000}}}}}\n"
    site.write_text(text.replace("    - {name: its hints", f"{big}    - {{name: its hints"))
    pair.sim("fault", "mac-2", "disk-full")
    try:
        full = pair.fleet("deploy", "--yes", expect=None)
    finally:
        pair.sim("fault", "mac-2", "disk-full", "--clear")
        site.write_text(text)
    assert full.returncode not in (0, 2)
    assert re.search(r"disk|space", full.stdout + full.stderr), full.stdout + full.stderr
    assert {node: standing(pair, node) for node in NODES} == before
    pair.fleet("plan", "--exit-code")
