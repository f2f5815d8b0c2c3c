"""What the report decides of the dollar track and of gray pools."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fleet.practice.weekly.make import make
from fleet.practice.weekly.report import Tone, Verdict, Weekly
from fleet.vocabulary.contracts.policy_admin import DollarState, GrayState
from fleet.vocabulary.money import PICO_PER_USD
from tests.practice.weekly.ground import (
    FLASH,
    NOW,
    OWL,
    WEEK,
    LedgerFront,
    budget_report,
    gray_report,
    rows,
    the_front,
    write,
)


@pytest.fixture(scope="module", name="front")
def _front(tmp_path_factory: pytest.TempPathFactory) -> LedgerFront:
    return the_front(tmp_path_factory.mktemp("weekly"))


def verdict(report: Weekly, subject: str) -> Verdict:
    return next(one for one in report.verdicts if one.subject == subject)


def dollar(front: LedgerFront, **changes: object) -> Verdict:
    report = make(WEEK, replace(front, budget_report=budget_report(**changes)), now=NOW)  # type: ignore[arg-type]
    return verdict(report, "Dollar track")


def test_a_track_below_its_cap_is_kept(front: LedgerFront) -> None:
    found = dollar(front)
    assert (found.word, found.tone) == ("keep", Tone.GOOD)
    assert "of 11.67 that are its part of the cap" in found.why


def test_a_track_that_the_fronts_fold_says_why_and_until_when(front: LedgerFront) -> None:
    found = dollar(front, state=DollarState.DOWNGRADED, reason="2026-W47 cost 14.00 USD of 11.67")
    assert (found.word, found.tone) == ("downgraded", Tone.BAD)
    assert found.why.startswith("2026-W47 cost 14.00 USD of 11.67. It folds until Mon 30 November 00:00 UTC")


def test_a_track_that_is_closed_for_the_month_is_capped(front: LedgerFront) -> None:
    assert dollar(front, state=DollarState.CAPPED).word == "capped"


def test_a_track_that_will_reach_its_cap_is_watched_with_the_command_that_says_who_spends(front: LedgerFront) -> None:
    report = make(WEEK, replace(front, budget_report=budget_report(days=_days(2.3))), now=NOW)
    found = verdict(report, "Dollar track")
    assert (found.word, found.tone) == ("watch", Tone.WATCH)
    assert "fleet ledger --by ticket,model --since 2026-W47 --until 2026-W48" in report.actions[0].commands


def test_a_fleet_without_a_dollar_track_has_nothing_to_decide(front: LedgerFront) -> None:
    assert dollar(front, state=None).word == "none"


def test_a_pool_with_few_scored_calls_has_no_verdict_and_keeps_its_share(front: LedgerFront) -> None:
    assert verdict(make(WEEK, front, now=NOW), "Gray pool owl-pool").word == "too few"


@pytest.mark.parametrize(
    ("now_errs", "word"), [(0.02, "promote"), (0.06, "hold"), (0.30, "take back")], ids=["good", "unsure", "bad"]
)
def test_a_pool_is_judged_by_its_tool_calls(tmp_path: Path, now_errs: float, word: str) -> None:
    some = [
        *rows(WEEK.previous, {FLASH: 600, replace(OWL, errs=0.05): 500}),
        *rows(WEEK, {FLASH: 600, replace(OWL, errs=now_errs): 500}, seed=3),
    ]
    front = LedgerFront(ledger=write(tmp_path / "ledger.sqlite", some), gray_report=gray_report())
    report = make(WEEK, front, now=NOW)
    assert verdict(report, "Gray pool owl-pool").word == word
    said = " ".join(command for action in report.actions for command in action.commands)
    assert ("fleet gray disable owl-pool" in said) is (word == "take back")
    assert ("fleet harness" in said) is (word == "promote")


@pytest.mark.parametrize("state", [GrayState.ROLLED_BACK, GrayState.SUSPENDED, GrayState.DISABLED, GrayState.NO_MODEL])
def test_a_pool_that_is_off_says_so_before_anything_else(front: LedgerFront, state: GrayState) -> None:
    stopped = replace(front, gray_report=gray_report(state=state, reason="its calls got worse"))
    found = verdict(make(WEEK, stopped, now=NOW), "Gray pool owl-pool")
    assert found.tone in (Tone.BAD, Tone.WATCH)
    assert found.why == "Its calls got worse."


def test_tool_calls_that_fail_two_points_more_often_are_told_with_a_command(tmp_path: Path) -> None:
    some = [*rows(WEEK.previous, {FLASH: 350}), *rows(WEEK, {replace(FLASH, errs=0.2): 350}, seed=4)]
    report = make(WEEK, LedgerFront(ledger=write(tmp_path / "ledger.sqlite", some)), now=NOW)
    assert verdict(report, "Tool calls").tone is Tone.BAD
    assert "fleet usage --by model,app --since 2026-W47 --until 2026-W48" in report.actions[-1].commands


def _days(usd: float) -> tuple[int, ...]:
    return (*(int(usd * PICO_PER_USD),) * 22, 0, *(0,) * 7)


def test_a_dear_week_that_is_over_was_no_overrun_and_one_that_goes_on_may_become_one(front: LedgerFront) -> None:
    few = _days(0.1)
    report = make(WEEK, replace(front, budget_report=budget_report(days=few, cap_usd=8)), now=NOW)
    assert "more than that, and too little for a downgrade" in verdict(report, "Dollar track").why
    running = msgspec.structs.replace(budget_report(days=few, cap_usd=8), at_seconds=WEEK.starts / 1000 + 5)
    report = make(WEEK, replace(front, budget_report=running), now=NOW)
    assert "A week that overruns is followed by one that folds." in verdict(report, "Dollar track").why
