"""What a run found: sums, quantiles and shares over results, and what is not known stays unknown."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured_kit import a_head, drawn

from fleet.practice.harness.report import report_of_run
from fleet.practice.harness.results import Absent, Asked, Begun, Ended, Finished, Line, Outcome, Settled
from fleet.practice.harness.run import Run, run_of
from fleet.practice.harness.spread import interval, quantile
from fleet.traffic.gray.observed import wilson
from fleet.vocabulary.contracts.ledger import CostSource, ToolVerdict


def lines(*told: Line) -> list[bytes]:
    return [msgspec.json.encode(one) for one in told]


def a_result(prompt: str, *, repeat: int = 0, target: str = "api", **more: object) -> Finished:
    known = {"outcome": Outcome.PASSED, "at_milliseconds": 2_000, "seconds": 1.0, "pico": 10, **more}
    return Finished(target=target, prompt=prompt, repeat=repeat, **known)  # type: ignore[arg-type]


def run_with(*told: Line, repeats: int = 1, prompts: int = 4) -> Run:
    return run_of(a_head("api", "laptop", prompts=prompts, repeats=repeats), lines(*told))


def test_a_target_without_results_is_not_measured_and_says_why() -> None:
    report = report_of_run(run_with(a_result("p00"), Absent(target="laptop", why="no front", at_milliseconds=3_000)))
    api, laptop = report.targets
    assert (api.measured, api.prompts, api.passed.hits) == (True, 1, 1)
    assert (laptop.measured, laptop.why, laptop.pass_pico, laptop.p95_seconds) == (False, "no front", None, None)
    assert not report.complete


def test_a_target_that_came_back_is_measured_after_all() -> None:
    gone = Absent(target="api", why="down", at_milliseconds=1)
    assert dict(run_with(gone, a_result("p00")).absent) == {"api": "down"}, "that was in flight"
    assert dict(run_with(gone, Begun(at_milliseconds=2), a_result("p00")).absent) == {}


def test_one_unknown_cost_makes_the_cost_of_the_pass_unknown_and_never_less() -> None:
    (api, _) = report_of_run(run_with(a_result("p00"), a_result("p01", pico=None))).targets
    assert api.pass_pico is None


def test_the_cost_of_one_pass_is_told_whatever_the_repeats() -> None:
    told = [a_result(f"p{n:02}", repeat=repeat, pico=100) for n in range(4) for repeat in range(3)]
    (api, _) = report_of_run(run_with(*told, repeats=3)).targets
    assert (api.pass_pico, api.prompts, api.tries) == (400, 4, 12)


def test_repeats_of_a_prompt_share_its_one_vote() -> None:
    told = [a_result("p00", repeat=n, outcome=Outcome.PASSED if n else Outcome.FAILED) for n in range(2)]
    (api, _) = report_of_run(run_with(*told, a_result("p01"), repeats=2)).targets
    assert (api.passed.hits, api.passed.count, api.failed) == (1.5, 2, ("p00",))


def test_tool_calls_are_counted_as_in_live_traffic() -> None:
    verdicts = (ToolVerdict.OK, ToolVerdict.OK_SOFT, ToolVerdict.BAD_JSON, ToolVerdict.NO_CALL, ToolVerdict.INFRA)
    (api, _) = report_of_run(run_with(a_result("p00", tool_verdicts=verdicts))).targets
    assert (api.tools.hits, api.tools.count) == (2, 3)


def test_what_was_asked_and_never_settled_counts_as_spent_in_full() -> None:
    run = run_with(
        Asked(id="1", target="api", at_milliseconds=1, pico=100),
        Asked(id="2", target="api", at_milliseconds=1, pico=100),
        Settled(id="1", target="api", pico=7, source=CostSource.PROVIDER),
    )
    assert (run.spent_pico, report_of_run(run).targets[0].spent_pico) == (107, 107)


def test_what_failed_for_want_of_an_answer_is_asked_again_and_no_part_of_any_rate() -> None:
    gone = a_result("p00", outcome=Outcome.UNMEASURED, problem="unreachable")
    run = run_with(gone, a_result("p01"))
    (api, _) = report_of_run(run).targets
    assert (api.passed.count, api.unmeasured, api.why) == (1, 1, "unreachable")
    assert ("api", "p00", 0) in run.missing
    assert ("api", "p01", 0) not in run.missing


def test_a_whole_run_says_so() -> None:
    told = [a_result(f"p{n:02}", target=target) for n in range(4) for target in ("api", "laptop")]
    report = report_of_run(run_with(*told, Ended(at_milliseconds=9_000)))
    assert (report.complete, report.ended, report.last_milliseconds) == (True, "", 9_000)


@given(st.lists(st.binary(max_size=60)), st.integers(0, 200))
def test_foreign_and_cut_lines_are_passed_over(foreign: list[bytes], cut: int) -> None:
    good = lines(a_result("p00"))[0]
    run = run_of(a_head("api", prompts=2), [*foreign, good, good[:cut]])
    assert list(run.finished) == [("api", "p00", 0)]


def test_the_interval_of_single_tries_is_that_of_the_gray_pool() -> None:
    for hits, count in ((0, 10), (7, 10), (50, 50), (49, 50)):
        assert interval(hits / count, count) == pytest.approx(wilson(hits, count))
    assert interval(0.5, 0) is None


def test_a_quantile_is_a_value_that_was_seen() -> None:
    values = [5.0, 1.0, 3.0, 2.0, 4.0]
    assert [quantile(values, share) for share in (0.0, 0.5, 0.95, 1.0)] == [1.0, 3.0, 5.0, 5.0]
    assert quantile([], 0.5) is None


def test_categories_add_up_to_the_target() -> None:
    one = drawn("api", seed=4)
    run = Run(head=a_head("api"), finished={result.key: result for result in one.results})
    (api,) = report_of_run(run).targets
    assert sum(part.passed.hits for part in api.categories) == api.passed.hits
    assert sum(part.tools.count for part in api.categories) == api.tools.count
