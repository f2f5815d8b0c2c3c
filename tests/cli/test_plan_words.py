"""What a person and a program read of a plan beside its steps: guards, notes, where it comes from, what may be."""

from __future__ import annotations

import io

from rich.console import Console

from fleet.cli.planview import plan_json, print_plan
from fleet.control.rollout.guard import Refusal
from fleet.control.rollout.plan import Change, NodePlan
from fleet.control.rollout.terms import Origin
from fleet.vocabulary.contracts.sync import Step
from fleet.vocabulary.names import NodeName, StateId

NODE = NodeName("mini-1")
COMMAND = Step(key="command:login", kind_of="command", action="run", task="login", reason="its check fails", may=True)
PLAN = NodePlan(
    node=NODE,
    state_id=StateId("1" * 64),
    current="2" * 64,
    changes=(Change(step=COMMAND, diff=("command: (secret)",)),),
    refusals=(Refusal(title="a newer fleet deployed what is live", detail="why", hint="upgrade\nor --downgrade"),),
    notes=("this project is in no git",),
)
ORIGIN = Origin(commit="c" * 40, dirty=True)


def shown(origin: Origin | None = ORIGIN) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_plan(console, {NODE: PLAN}, [], commands=True, origin=origin)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_refusal_is_shown_with_its_reason_and_what_to_do() -> None:
    text = shown()
    assert "! deploy leaves it alone: a newer fleet deployed what is live" in text
    assert "hint: or --downgrade" in text
    assert "! this project is in no git" in text


def test_what_cannot_be_known_says_so_and_a_secret_only_that_there_is_one() -> None:
    text = shown()
    assert "its check fails  (may change)" in text
    assert "command: (secret)" in text
    assert "$ " not in text  # nothing of it would be typed where it can be read


def test_a_service_that_is_emptied_before_it_is_stopped_says_so() -> None:
    restart = Step(key="daemon:o.sidecar.chat", kind_of="daemon", action="restart", task="sidecar", reason="it changes")
    plan = NodePlan(node=NODE, state_id=StateId("1" * 64), changes=(Change(step=restart, drain_seconds=300.0),))
    console = Console(file=io.StringIO(), width=120)
    print_plan(console, {NODE: plan}, [])
    assert isinstance(console.file, io.StringIO)
    assert "restart: it changes  (drained first, 5m 00s at most)" in console.file.getvalue()
    assert plan_json({NODE: plan}, [])["nodes"][NODE]["changes"][0]["drain_seconds"] == 300.0


def test_where_it_comes_from_is_shown_with_what_is_not_committed() -> None:
    assert "from:  git cccccccccccc, with changes that are not committed" in shown()
    assert "from:" not in shown(Origin())
    assert "from:" not in shown(None)


def test_a_program_reads_the_same() -> None:
    document = plan_json({NODE: PLAN}, [], origin=ORIGIN)
    assert (document["git_commit"], document["git_dirty"]) == ("c" * 40, True)
    node = document["nodes"][NODE]
    assert node["release"] == "2" * 64
    assert node["refused"] == ["a newer fleet deployed what is live"]
    assert node["notes"] == ["this project is in no git"]
    assert node["changes"][0]["may_change"] is True
    assert node["changes"][0]["commands"] == []
