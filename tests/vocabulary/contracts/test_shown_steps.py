"""What of a plan is certain: what a second look is held against."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.vocabulary.contracts.shown import steps_digest, told_apart
from fleet.vocabulary.contracts.sync import Step

ACTIONS = ("create", "update", "remove", "bootstrap", "rebootstrap", "bootout")


def step(key: str, action: str, *, may: bool = False, kind: str = "file", before: str | None = None) -> Step:
    return Step(key=key, kind_of=kind, action=action, task="t", may=may, before=before, after=before and "2")


STEPS = st.lists(st.builds(step, st.sampled_from(["file:/a", "file:/b"]), st.sampled_from(ACTIONS)), max_size=5)


@given(STEPS)
def test_equal_steps_have_equal_names_and_nothing_tells_them_apart(steps: list[Step]) -> None:
    again = [Step(key=s.key, kind_of=s.kind_of, action=s.action, task="other", reason="worded anew") for s in steps]
    assert steps_digest(steps) == steps_digest(again)
    assert told_apart(steps, again) == ()


@given(STEPS, STEPS)
def test_steps_are_told_apart_exactly_when_their_names_differ(one: list[Step], other: list[Step]) -> None:
    assert bool(told_apart(one, other)) is (steps_digest(one) != steps_digest(other))


def test_what_only_may_happen_is_no_difference() -> None:
    assert told_apart([step("command:x", "run", may=True)], []) == ()


def test_a_job_that_crashes_meanwhile_is_no_difference() -> None:
    assert told_apart([step("daemon:x", "restart", kind="daemon")], [step("daemon:x", "cure", kind="daemon")]) == ()


def test_a_difference_names_what_is_new_and_what_is_gone() -> None:
    shown = [step("file:/a", "update"), step("pmset:sleep", "update", kind="pmset", before="1")]
    assert told_apart(shown, [step("file:/b", "create")]) == (
        "new: create file /b",
        "no more: update file /a",
        "no more: update pmset sleep (1 -> 2)",
    )
