"""A saved plan: what is in it, and when it is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.control.rollout.plan import Change, NodePlan
from fleet.control.rollout.planfile import (
    SavedPlan,
    moved,
    other_state,
    planned_node,
    read_plan,
    saved_plan,
    write_plan,
)
from fleet.errors import UsageError
from fleet.vocabulary.contracts.sync import Facts, Step
from fleet.vocabulary.names import NodeName, StateId

NODE = NodeName("mini-1")
FACTS = Facts(os_version="15.7", os_build="24G1", memory_bytes=64 << 30, boot_id="boot-1")
STEP = Step(key="file:/opt/fleet/a", kind_of="file", action="update", task="a")
COMMAND = Step(
    key="command:login", kind_of="command", action="run", task="login", may=True, commands=(("login", "planted"),)
)
PLAN = NodePlan(
    node=NODE,
    state_id=StateId("1" * 64),
    current="2" * 64,
    changes=(Change(step=STEP, diff=("-listen planted", "+listen 2")), Change(step=COMMAND)),
)


def saved(plan: NodePlan = PLAN) -> SavedPlan:
    return saved_plan(
        {NODE: planned_node(plan, FACTS)},
        playbook="site.yml",
        on=None,
        overrides=("token=planted",),
        git=("c" * 40, True),
        now=datetime(2026, 1, 2, tzinfo=UTC),
    )


def test_a_saved_plan_is_read_back_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "week.plan"
    write_plan(path, saved())
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_plan(path) == saved()
    assert list(tmp_path.iterdir()) == [path]


def test_a_saved_plan_holds_no_content_no_command_and_no_value(tmp_path: Path) -> None:
    path = tmp_path / "week.plan"
    write_plan(path, saved())
    assert b"planted" not in path.read_bytes()
    assert read_plan(path).sets == ("token",)


@pytest.mark.parametrize("text", ["", "{}", "[1", '{"schema": 1}', "\x00"])
def test_what_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd"
    path.write_text(text)
    with pytest.raises(UsageError, match="is no saved plan"):
        read_plan(path)


def test_a_plan_changed_by_hand_or_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "week.plan"
    write_plan(path, saved())
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"playbook": "other.yml"}))
    with pytest.raises(UsageError, match="not as it was written"):
        read_plan(path)
    path.write_text(json.dumps(data | {"schema": 2}))
    with pytest.raises(UsageError, match="schema 2"):
        read_plan(path)


def test_a_plan_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_plan(tmp_path / "nothing")
    with pytest.raises(UsageError, match="cannot be written"):
        write_plan(tmp_path / "nowhere" / "week.plan", saved())


def test_the_same_node_is_as_planned() -> None:
    assert moved(planned_node(PLAN, FACTS), PLAN, FACTS) is None


def test_a_reboot_alone_is_no_move() -> None:
    assert moved(planned_node(PLAN, FACTS), PLAN, replace(FACTS, boot_id="boot-2")) is None


def test_a_node_where_the_plan_is_done_already_is_no_move() -> None:
    assert moved(planned_node(PLAN, FACTS), replace(PLAN, changes=(), current="1" * 64), FACTS) is None


def test_another_release_is_a_move() -> None:
    refusal = moved(planned_node(PLAN, FACTS), replace(PLAN, current="3" * 64), FACTS)
    assert refusal is not None
    assert "another release" in refusal.title
    assert "333333333333" in refusal.detail


def test_other_drift_is_a_move_and_named() -> None:
    more = (*PLAN.changes, Change(step=replace(STEP, key="file:/opt/fleet/b")))
    refusal = moved(planned_node(PLAN, FACTS), replace(PLAN, changes=more), FACTS)
    assert refusal is not None
    assert refusal.detail == "new: update file /opt/fleet/b"


def test_a_command_that_only_may_run_is_no_move() -> None:
    assert moved(planned_node(PLAN, FACTS), replace(PLAN, changes=PLAN.changes[:1]), FACTS) is None


def test_the_same_steps_over_other_content_are_a_move() -> None:
    other = (Change(step=STEP, diff=("-listen 9", "+listen 2")), PLAN.changes[1])
    refusal = moved(planned_node(PLAN, FACTS), replace(PLAN, changes=other), FACTS)
    assert refusal is not None
    assert "diffs" in refusal.title


def test_another_system_is_a_move() -> None:
    refusal = moved(planned_node(PLAN, FACTS), PLAN, replace(FACTS, os_build="24G2"))
    assert refusal is not None
    assert refusal.detail == "os_build: 24G1 -> 24G2"


def test_a_node_that_was_idle_when_planned_and_drifted_since_is_a_move() -> None:
    idle = NodePlan(node=NODE, state_id=PLAN.state_id)
    refusal = moved(planned_node(idle, None), PLAN, FACTS)
    assert refusal is not None
    assert refusal.detail == "new: update file /opt/fleet/a"


def test_sources_that_make_another_state_are_told() -> None:
    assert other_state(planned_node(PLAN, FACTS), "1" * 64) is None
    refusal = other_state(planned_node(PLAN, FACTS), "9" * 64)
    assert refusal is not None
    assert "999999999999" in refusal.detail
