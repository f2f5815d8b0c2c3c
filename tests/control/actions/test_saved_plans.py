"""What a saved plan asks of the deploy that does it: the same words, the same states, the same nodes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from fleet.control.actions.savedplans import held_to, judge_of, require_same_words
from fleet.control.desired.states import Compiled
from fleet.control.link.protocol import Target
from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.conversation import helper_argv
from fleet.control.rollout.guard import Guard
from fleet.control.rollout.nodejob import NodeJob
from fleet.control.rollout.plan import Change, NodePlan
from fleet.control.rollout.planfile import SavedPlan, planned_node, saved_plan
from fleet.control.rollout.terms import Terms
from fleet.errors import UsageError
from fleet.vocabulary.contracts.desired import DesiredState
from fleet.vocabulary.contracts.sync import Hello, Step
from fleet.vocabulary.layout import NodeLayout
from fleet.vocabulary.names import NodeName, RunId, StateId

LAYOUT = NodeLayout(owner="admin")
ONE, TWO, THREE = (NodeName(f"mini-{number}") for number in (1, 2, 3))


def a_job(name: NodeName, interpreter: str = "/opt/python3") -> NodeJob:
    return NodeJob(
        name=name,
        target=Target(node=name, address=name),
        helper=helper_argv(LAYOUT, sudo=True),
        compiled=Compiled(state=DesiredState(node=name, layout=LAYOUT, interpreter=interpreter)),
        contents={},
        salt="s",
    )


def a_plan(*jobs: NodeJob, overrides: tuple[str, ...] = ()) -> SavedPlan:
    plans = {job.name: NodePlan(node=job.name, state_id=StateId(job.compiled.state.state_id)) for job in jobs}
    return saved_plan(
        {name: planned_node(plan, None) for name, plan in plans.items()},
        playbook="site.yml",
        on=None,
        overrides=overrides,
        git=(None, None),
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_nodes_with_the_planned_state_go_on_and_each_other_one_is_told_why() -> None:
    saved = a_plan(a_job(ONE), a_job(TWO))
    jobs, others = held_to(saved, [a_job(ONE), a_job(TWO, "/another"), a_job(THREE)])
    assert [job.name for job in jobs] == [ONE]
    assert "another state" in others[TWO].title
    assert "not in the plan" in others[THREE].title


def test_a_node_that_left_the_playbook_is_told_and_one_that_is_lost_already_is_not_told_twice() -> None:
    saved = a_plan(a_job(ONE), a_job(TWO), a_job(THREE))
    _, others = held_to(saved, [a_job(ONE)], lost=[THREE])
    assert set(others) == {TWO}
    assert "in the playbook no more" in others[TWO].title


def test_the_same_set_variables_are_wanted_by_name() -> None:
    saved = a_plan(a_job(ONE), overrides=("token=planted", "a=1"))
    require_same_words(saved, ("a=2", "token=x"))
    with pytest.raises(UsageError, match="a, token; now: none") as refused:
        require_same_words(saved, ())
    assert "planted" not in refused.value.text


def test_an_older_fleet_does_not_do_the_plan_of_a_newer_one() -> None:
    with pytest.raises(UsageError, match=r"99\.0\.0 made this plan"):
        require_same_words(msgspec.structs.replace(a_plan(a_job(ONE)), fleet_version="99.0.0"), ())


def test_guards_and_plan_are_judged_together() -> None:
    step = Step(key="file:/a", kind_of="file", action="update", task="t")
    saved = a_plan(a_job(ONE))
    plan = NodePlan(node=ONE, state_id=StateId("1" * 64), changes=(Change(step=step),), current="2" * 64)
    judged = judge_of(Guard(fleet_version="0.1.0"), saved)(ONE, Hello(live_fleet_version="0.2.0"), plan)
    assert len(judged.refusals) == 2
    assert judge_of(Guard(), None)(ONE, Hello(), plan).refusals == ()
    assert judge_of(Guard(), saved)(ONE, Hello(), replace(plan, changes=())).refusals == ()


def test_a_commit_says_what_the_plan_was_made_against_and_a_rollback_no_commit_of_git() -> None:
    class Here:
        commit: str | None = "c" * 40
        dirty: bool | None = False

        def knows(self, commit: str) -> bool:
            return commit == self.commit

        def descends_from(self, commit: str) -> bool:
            return commit == self.commit

    plan = NodePlan(node=ONE, state_id=StateId("1" * 64), current="2" * 64)
    terms = Terms(operator="me@here", checkout=Here(), force=True)
    commit = terms.commit(plan, run_id=RunId("r1"), pace=Pace())
    assert (commit.expect_current, commit.git_commit, commit.git_dirty, commit.force) == (
        "2" * 64,
        "c" * 40,
        False,
        True,
    )
    back = replace(terms, action="rollback").commit(plan, run_id=RunId("r1"), pace=Pace())
    assert (back.action, back.git_commit) == ("rollback", None)
