"""What a run proves of a model: only what was measured, of the model that answered, and all of it."""

from __future__ import annotations

import msgspec
import pytest
from measured_kit import a_head, drawn

from fleet.errors import UsageError
from fleet.practice.harness.passed import harness_found
from fleet.practice.harness.results import Finished, Outcome
from fleet.practice.harness.run import Run
from fleet.vocabulary.contracts.ledger import ToolVerdict

OWL = {"owl": "owl", "vendor/owl-alpha": "owl"}


def a_run(*, answered: str = "vendor/owl-alpha", prompts: int = 50, left_out: int = 0) -> Run:
    results = [msgspec.structs.replace(one, model=answered) for one in drawn("gray", seed=1, prompts=prompts).results]
    kept = results[left_out:]
    return Run(head=a_head("gray", prompts=prompts), finished={one.key: one for one in kept})


def test_a_whole_run_says_how_many_tool_calls_were_right() -> None:
    run = a_run()
    found = harness_found(run, OWL)
    verdicts = [verdict for one in run.finished.values() for verdict in one.tool_verdicts]
    assert (found.run, found.model, found.prompts, found.begun_milliseconds) == ("planted", "owl", 50, 2_000)
    assert (found.successes, found.scored) == (verdicts.count(ToolVerdict.OK), len(verdicts))


def test_a_run_of_which_something_is_missing_proves_nothing() -> None:
    with pytest.raises(UsageError, match="at gray: 3 of 50 are missing"):
        harness_found(a_run(left_out=3), OWL)
    run = a_run()
    gone = Finished(target="gray", prompt="p00", repeat=0, outcome=Outcome.UNMEASURED, at_milliseconds=1, model="owl")
    with pytest.raises(UsageError, match="1 of 50 are missing"):
        harness_found(Run(head=run.head, finished={**run.finished, gone.key: gone}), OWL)


def test_a_run_of_another_model_proves_nothing_whatever_its_target_is_called() -> None:
    for answered in ("flash", ""):
        with pytest.raises(UsageError, match="did not measure owl"):
            harness_found(a_run(answered=answered), OWL)
    with pytest.raises(UsageError, match="no target 'other'"):
        harness_found(a_run(), OWL, target="other")
