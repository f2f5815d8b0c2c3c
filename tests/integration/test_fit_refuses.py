"""Models that do not fit a node stop everything before any node is contacted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import Room

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("room"), pytest.mark.timeout(300)]

NOBODY = ("--set", "ansible_port=1")
"""With it every contact fails, and says so by exit code 4."""


@pytest.fixture
def greedy(room: Room) -> Path:
    """The room's playbook with a reserve that no Mac has."""
    path = room.own("playbooks", "site.yml")
    path.write_text(path.read_text().replace("kv_reserve: 2GiB", "kv_reserve: 900GiB"))
    return path


@pytest.mark.parametrize("verb", [("plan",), ("deploy", "--yes")])
def test_a_node_that_may_wire_too_little_stops_the_command_with_the_arithmetic(
    room: Room, verb: tuple[str, ...]
) -> None:
    refused = room.fleet(*NOBODY, "--set", "wired_limit_mb=1024", *verb, expect=1)
    assert "mac-2: its models need 2.5 GiB and the GPU may wire 1.0 GiB" in refused.stderr
    assert "weights" in refused.stderr
    assert "KV 2.0 GiB (stated) + overhead 512 MiB = 2.5 GiB" in refused.stderr
    assert "sum 2.5 GiB of 1.0 GiB (wired_limit_mb of the inventory): 1.5 GiB too much" in refused.stderr
    assert "hint: " in refused.stderr
    assert refused.stdout == ""


def test_without_that_limit_the_same_command_does_contact_the_nodes(room: Room) -> None:
    assert "no node could be reached" in room.fleet(*NOBODY, "plan", expect=4).stderr


def test_a_reserve_that_no_mac_has_stops_the_plan_and_lint_says_it_too(room: Room, greedy: Path) -> None:
    try:
        refused = room.fleet(*NOBODY, "plan", expect=1)
        assert "KV 900 GiB (stated)" in refused.stderr
        linted = room.fleet("lint", expect=None)
        assert linted.returncode != 0
        assert "KV 900 GiB (stated)" in linted.stdout + linted.stderr
    finally:
        greedy.unlink()
    assert "nothing to do" in room.fleet("plan", "--exit-code").stdout
