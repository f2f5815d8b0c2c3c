"""A daemon that cannot run ends as a failed gate that says why, and the node is what it was before."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest

from tests.integration.conftest import Room, open_room
from tests.integration.story import LEAN, NOWHERE, Standing, asked, break_program, lean, standing, until

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

AGENT, WORKER, SIDECAR = (f"org.fleet-macs.{name}" for name in ("agent", "worker", "sidecar.chat"))
WHY = "last exit 78: EX_CONFIG (launchd could not start it: program missing or not executable"
CRASHER = """
- name: a program of our own
  hosts: front
  tasks:
    - name: crasher
      daemon: {label: crasher, program: [/bin/sh, -c, "echo no such config: /etc/crasher >&2; exit 3"]}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """One deployed Mac: agent, worker and front; tests leave it as it was."""
    room = Room(tmp_path_factory.mktemp("small"))
    try:
        open_room(room.folder, nodes=1, deployed=False)
        lean(room)
        room.fleet("deploy", "--yes")
        yield room
    finally:
        room.sim("down")


@pytest.mark.long
@pytest.mark.xdist_group("gates")
def test_a_first_deploy_with_a_missing_program_leaves_nothing_and_goes_well_once_mended(own_room: Room) -> None:
    room = own_room
    site = lean(room)
    nothing = Standing(current=None, pids={}, plists={}, etc={})
    assert standing(room, "mac-2") == nothing
    broken = break_program(room, "daemon")

    failed = room.fleet("deploy", "--yes", expect=1)
    assert f"mac-2: ✗ {WORKER} has no process: {WHY}" in failed.stdout
    assert f"hint: {NOWHERE} is not on the node" in failed.stdout
    assert "mac-2: ↩ reverted: the node is as it was before" in failed.stdout
    assert "mac-1: · skipped: not started: mac-2 reverted" in failed.stdout
    assert "no node is as it should be: mac-2 (reverted), mac-1 (skipped)" in failed.stderr
    assert "hint: mend the cause" in failed.stderr
    assert standing(room, "mac-1") == standing(room, "mac-2") == nothing

    plan = room.fleet("plan", "--on", "mac-2", "--exit-code", expect=5).stdout
    assert f"+ daemon {WORKER}" in plan
    assert f"this very state failed here before: {WORKER} has no process: {WHY}" in plan

    broken.unlink()
    with site.open("a") as text:
        text.write(CRASHER)
    partly = room.fleet("deploy", "--yes", expect=3)
    assert "mac-2: ✓ changed" in partly.stdout
    assert "mac-1: ↩ reverted" in partly.stdout
    assert "1 of 2 nodes are as they should be; not: mac-1 (reverted)" in partly.stderr
    assert set(standing(room, "mac-2").pids) == {AGENT, WORKER}
    assert standing(room, "mac-1") == nothing


@pytest.mark.xdist_group("gates")
def test_a_second_release_with_a_missing_program_brings_the_first_back_and_spares_the_others(small: Room) -> None:
    before = standing(small, "mac-1")
    broken = break_program(small, "agent")
    failed = small.fleet("deploy", "--yes", expect=1)
    assert f"{AGENT} has no process: {WHY}" in failed.stdout

    after = standing(small, "mac-1")
    assert (after.current, after.plists, after.etc) == (before.current, before.plists, before.etc)
    assert {label for label in before.pids if after.pids[label] != before.pids[label]} == {AGENT}
    assert after.pids[AGENT]
    assert f"~ daemon {AGENT}" in small.fleet("plan", "--exit-code", expect=5).stdout

    broken.unlink()
    assert "nothing to do" in small.fleet("plan", "--exit-code").stdout
    assert _row(small, "mac-1")["services_up"] == 3


@pytest.mark.long
@pytest.mark.xdist_group("gates")
def test_another_interpreter_and_a_missing_program_bring_the_old_interpreter_back(small: Room) -> None:
    before = standing(small, "mac-1")
    was = str(small.variables("mac-1")["interpreter"])
    other = small.folder / "python" / "bin" / "python3"
    other.parent.mkdir(parents=True)
    other.write_text(f'#!/bin/sh\nexec {was} "$@"\n')
    other.chmod(0o755)
    broken = break_program(small, "agent")
    small.set_variables(interpreter=str(other))

    failed = small.fleet("deploy", "--yes", expect=1)
    assert f'ProgramArguments[0]: "{was}" -> "{other}"' in failed.stdout
    assert f"{AGENT} has no process: {WHY}" in failed.stdout
    after = standing(small, "mac-1")
    assert (after.current, after.plists, after.etc) == (before.current, before.plists, before.etc)
    assert after.pids.keys() == before.pids.keys()
    assert all(after.pids.values())
    assert _answers(small)

    broken.unlink()
    small.fleet("deploy", "--yes")
    moved = standing(small, "mac-1")
    assert {name for name, text in moved.plists.items() if str(other).encode() in text} == {
        "org.fleet-macs.agent.plist",
        "org.fleet-macs.gateway.plist",
    }
    assert moved.pids[WORKER] == before.pids[WORKER]
    assert _answers(small)
    small.set_variables(interpreter=was)
    small.fleet("deploy", "--yes")
    assert standing(small, "mac-1").plists == before.plists


@pytest.mark.xdist_group("gates")
def test_a_program_that_ends_at_once_fails_with_its_exit_code_and_its_last_words(small: Room) -> None:
    before = standing(small, "mac-1")
    site = lean(small)
    site.write_text(LEAN + CRASHER)
    failed = small.fleet("deploy", "--yes", expect=1)
    rules = r"has no process|was started again (?:once|\d+ times)|did not stay up for 3 s"
    said = rf"✗ (?:gate )?org\.fleet-macs\.crasher (?:{rules}): last exit 3, state "
    assert re.search(said, failed.stdout), failed.stdout
    assert "no such config: /etc/crasher" in failed.stdout
    after = standing(small, "mac-1")
    assert (after.current, after.plists, after.etc) == (before.current, before.plists, before.etc)
    site.write_text(LEAN)
    assert "nothing to do" in small.fleet("plan", "--exit-code").stdout
    assert _row(small, "mac-1")["services_up"] == 3


def _answers(room: Room) -> bool:
    """Whether the agent (by status) and the gateway (by the models it names) answer on the one node."""
    return _row(room, "mac-1")["reach"] == "answered" and asked(room, "/v1/models") == 200


def _row(room: Room, node: str) -> dict[str, object]:
    rows = room.json("status", expect=None)["rows"]
    assert isinstance(rows, list)
    found: dict[str, object] = next(row for row in rows if row["node"] == node)
    return found


def _codes(row: dict[str, object]) -> dict[str, str]:
    concerns = row["concerns"]
    assert isinstance(concerns, list)
    return {concern["code"]: concern["text"] for concern in concerns}


@pytest.mark.xdist_group("room")
def test_a_killed_sidecar_comes_back_by_launchd_and_status_says_so(room: Room) -> None:
    _row(room, "mac-3")  # a restart is told against what status saw before
    before = room.services("mac-3")[SIDECAR]
    os.kill(int(str(before["pid"])), signal.SIGKILL)

    def back() -> dict[str, object] | None:
        now = room.services("mac-3")[SIDECAR]
        return now if now["pid"] not in (None, before["pid"]) else None

    now = until(back)
    assert int(str(now["runs"])) == int(str(before["runs"])) + 1
    codes = until(
        lambda: _codes(_row(room, "mac-3")) if "service_restarted" in _codes(_row(room, "mac-3")) else None,
        within_seconds=60,
    )
    assert "sidecar.chat ended and was started again: last exit Killed: 9" in codes["service_restarted"]
    until(lambda: all(model["ready"] for model in _models(_row(room, "mac-3"))))
    shown = room.fleet("status")  # a warning: all is well enough for exit 0
    assert "sidecar.chat ended and was started again: last exit Killed: 9" in shown.stdout


def _models(row: dict[str, object]) -> list[dict[str, object]]:
    models = row["models"]
    assert isinstance(models, list)
    return models


@pytest.mark.xdist_group("room")
def test_a_sidecar_that_is_held_down_shows_with_a_reason_and_what_to_do(room: Room) -> None:
    room.sim("fault", "mac-2", "hold=sidecar")
    try:
        until(lambda: "service_down" in _codes(_row(room, "mac-2")))
        shown = room.fleet("status", expect=1).stdout
        assert "■ mac-2  sidecar.chat is down: " in shown
        assert "fleet logs mac-2 sidecar.chat" in shown
    finally:
        room.sim("fault", "mac-2", "hold", "--clear")
    until(lambda: room.fleet("status", expect=None).returncode == 0)
    assert _row(room, "mac-2")["services_up"] == 3
