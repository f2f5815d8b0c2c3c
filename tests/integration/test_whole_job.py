"""The main job, as `make demo` does it."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Room

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("room"), pytest.mark.timeout(300)]


def test_a_question_is_answered_by_the_model_behind_the_front(room: Room) -> None:
    assert room.fleet("ask", "hello?").stdout == "Hello from the scripted model.\n"


def test_a_second_deploy_finds_nothing_to_do_and_starts_no_python_on_the_nodes(room: Room) -> None:
    before = {name: list((room.root(name) / "runs").iterdir()) for name in ("mac-1", "mac-2", "mac-3")}
    helper = {name: (room.root(name) / "sync").stat().st_mtime_ns for name in before}
    answer = room.fleet("deploy", "--yes")
    assert "nothing to do" in answer.stderr
    assert {name: list((room.root(name) / "runs").iterdir()) for name in before} == before
    assert {name: (room.root(name) / "sync").stat().st_mtime_ns for name in before} == helper


def test_a_plan_without_changes_exits_0_and_with_changes_5(room: Room) -> None:
    assert room.fleet("plan", "--exit-code").returncode == 0
    changed = room.fleet("--set", "wired_limit_mb=17000", "plan", "--on", "mac-3", "--exit-code", "--json", expect=5)
    assert json.loads(changed.stdout)["changes"] is True


def test_status_shows_every_node_with_its_services(room: Room) -> None:
    rows = {row["node"]: row for row in json.loads(room.fleet("status", "--json").stdout)["rows"]}
    assert set(rows) == {"mac-1", "mac-2", "mac-3"}
    assert {row["freshness"] for row in rows.values()} == {"live"}


def test_exec_groups_equal_answers(room: Room) -> None:
    answer = room.fleet("exec", "--", "echo", "same")
    assert answer.stdout == "same\n"
    assert "mac-1, mac-2, mac-3" in answer.stderr


def test_exec_tells_a_failure_apart(room: Room) -> None:
    answer = room.fleet("exec", "--shell", "exit 7", expect=1)
    assert "exit 7" in answer.stderr


def test_logs_show_the_tail_of_a_service(room: Room) -> None:
    assert room.fleet("logs", "mac-2", "sidecar", "-n", "5").stdout.strip()


def test_a_wrong_model_name_is_refused_with_the_names_that_are_served(room: Room) -> None:
    answer = room.fleet("ask", "--route", "nowhere", "hello?", expect=1)
    assert "scripted" in answer.stderr
