from __future__ import annotations

import math
import random
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.traffic.gray.reasons import NotGray
from fleet.traffic.gray.share import Share
from fleet.traffic.gray.standing import standing
from fleet.traffic.rearm import (
    Enabled,
    HarnessPass,
    armed_since,
    enabling_note,
    note_of_change,
    rearm_problem,
    rollback_note,
    share_now,
    suspension_note,
)
from fleet.traffic.rollback import WEEK_MILLISECONDS, Baseline, Burst, Rate, Rule, Trials, Word, rose, surely_risen
from fleet.vocabulary.contracts.ledger import Note, Owner, Request, ToolVerdict
from fleet.vocabulary.names import Track

WEEK = WEEK_MILLISECONDS
DAY = WEEK // 7
MONDAY = 4 * DAY + 2900 * WEEK
"""00:00 of a Monday in 2025."""
NOW = MONDAY + 3 * DAY
PATTERN = r"^[A-Z][A-Z0-9]+-\d+$"
OK, BAD = ToolVerdict.OK, ToolVerdict.BAD_JSON


def a_row(number: int, at: int, verdict: ToolVerdict | None = OK, *, gray: bool = True, model: str = "new") -> Request:
    return Request(
        id=f"r{number}",
        at_milliseconds=at,
        owner=Owner(key="k"),
        asked="agents",
        route="gray" if gray else "agents",
        track=Track.GRAY if gray else Track.TOKEN,
        model=model,
        gray=gray,
        tool_verdict=verdict,
    )


def rows(count: int, failures: int, *, start: int, gray: bool = True) -> Iterator[Request]:
    """`count` calls within a day from `start`, the first of them failures of two kinds by turns."""
    for number in range(count):
        kind = (BAD, ToolVerdict.SCHEMA)[number % 2]
        yield a_row(hash((start, gray, number)), start + number, kind if number < failures else OK, gray=gray)


def some_trials(now: Rate, before: Rate, *proven: Rate) -> Trials:
    """Of this week and the one before; then the same of the proven route."""
    trials = Trials("gray", ["agents"])
    proven_now, proven_before = proven or (Rate(), Rate())
    for rate, start, gray in (
        (now, NOW - DAY, True),
        (before, NOW - DAY - WEEK, True),
        (proven_now, NOW - DAY, False),
        (proven_before, NOW - DAY - WEEK, False),
    ):
        for row in rows(rate.scored, rate.failures, start=start, gray=gray):
            trials.add(row)
    return trials


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_a_rise_is_two_points_exactly(f1: int, n1: int, f0: int, n0: int) -> None:
    now, before = Rate(min(f1, n1), n1), Rate(min(f0, n0), n0)
    if not n1 or not n0:
        assert not rose(now, before)
    else:
        assert rose(now, before) == (Fraction(now.failures, n1) - Fraction(before.failures, n0) >= Fraction(1, 50))


def test_two_points_are_met_by_4_and_2_of_100_though_not_in_floats() -> None:
    assert rose(Rate(7, 100), Rate(5, 100))
    assert not rose(Rate(69, 1000), Rate(50, 1000))
    assert 0.07 - 0.05 != 0.02


def test_the_bound_of_few_calls_is_newcombes() -> None:
    """The figures of SPEC section 5.4."""
    assert surely_risen(Rate(4, 20), Rate(2, 60)) == pytest.approx(0.043, abs=0.0005)
    assert surely_risen(Rate(3, 20), Rate(2, 60)) == pytest.approx(0.008, abs=0.0005)
    assert surely_risen(Rate(1, 1), Rate()) is None


@pytest.mark.parametrize(
    ("now", "before", "word", "rule"),
    [
        (Rate(14, 200), Rate(10, 200), Word.ROLL_BACK, Rule.ENOUGH),
        (Rate(13, 200), Rate(10, 200), Word.STEADY, Rule.ENOUGH),
        (Rate(14, 199), Rate(10, 200), Word.INSUFFICIENT, None),
        (Rate(14, 200), Rate(10, 199), Word.INSUFFICIENT, None),
        (Rate(4, 20), Rate(2, 60), Word.ROLL_BACK, Rule.FEW),
        (Rate(3, 20), Rate(2, 60), Word.INSUFFICIENT, None),
        (Rate(19, 19), Rate(0, 1000), Word.INSUFFICIENT, None),
        (Rate(0, 0), Rate(0, 1000), Word.INSUFFICIENT, None),
    ],
)
def test_the_last_seven_days_are_held_against_the_seven_before(now: Rate, before: Rate, word: Word, rule: Rule) -> None:
    judged = some_trials(now, before).judge("new", NOW, least=200)
    assert (judged.word, judged.rule) == (word, rule)
    assert (judged.now, judged.before, judged.baseline) == (now, before, Baseline.OWN)


def test_a_first_week_is_held_against_the_proven_route_of_the_same_days() -> None:
    judged = some_trials(Rate(20, 200), Rate(), Rate(10, 400), Rate(0, 400)).judge("new", NOW, least=200)
    assert (judged.word, judged.baseline, judged.before) == (Word.ROLL_BACK, Baseline.PROVEN, Rate(10, 400))
    assert some_trials(Rate(20, 200), Rate()).judge("new", NOW, least=200).word is Word.INSUFFICIENT


def test_a_proven_route_that_got_worse_too_confounds_and_saves_nobody() -> None:
    judged = some_trials(Rate(20, 200), Rate(4, 200), Rate(40, 400), Rate(4, 400)).judge("new", NOW, least=200)
    assert (judged.word, judged.confounded) == (Word.ROLL_BACK, True)
    judged = some_trials(Rate(20, 200), Rate(4, 200), Rate(4, 400), Rate(4, 400)).judge("new", NOW, least=200)
    assert (judged.word, judged.confounded) == (Word.ROLL_BACK, False)


def test_on_monday_the_weeks_that_are_over_are_judged() -> None:
    trials = Trials("gray", ["agents"], rows(200, 2, start=MONDAY - 2 * WEEK))
    for row in (*rows(200, 20, start=MONDAY - WEEK), *rows(300, 0, start=MONDAY)):
        trials.add(row)
    judged = trials.judge_week("new", MONDAY + 5 * 60 * 1000, least=200)
    assert (judged.word, judged.now, judged.before) == (Word.ROLL_BACK, Rate(20, 200), Rate(2, 200))
    assert (judged.start_milliseconds, judged.end_milliseconds) == (MONDAY - WEEK, MONDAY)


def test_what_says_nothing_of_the_model_is_left_out() -> None:
    trials = some_trials(Rate(1, 10), Rate())
    left_out = [ToolVerdict.NO_CALL, ToolVerdict.INFRA, ToolVerdict.CANCELLED, ToolVerdict.UNSCORABLE, None]
    assert not any(trials.add(a_row(900 + at, NOW, verdict)) for at, verdict in enumerate(left_out))
    assert trials.add(a_row(990, NOW, BAD))
    assert not Trials("gray", ["documents"]).add(a_row(1, NOW, BAD, gray=False))
    assert trials.judge("new", NOW, least=200).now == Rate(2, 11)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 15 * DAY), st.booleans()), max_size=60), st.integers(0, 2**32))
def test_neither_order_nor_repetition_of_rows_matters(calls: list[tuple[int, bool]], seed: int) -> None:
    some = [a_row(number, NOW - ago, BAD if failed else OK) for number, (ago, failed) in enumerate(calls)]
    mixed = some * 2
    random.Random(seed).shuffle(mixed)
    judged = Trials("gray", ["agents"], mixed).judge("new", NOW, least=200)
    within = [failed for ago, failed in calls if ago < WEEK]
    assert judged.now == Rate(sum(within), len(within))
    assert judged == Trials("gray", ["agents"], some).judge("new", NOW, least=200)


def test_rows_older_than_three_weeks_are_let_go_and_change_no_judgement() -> None:
    trials = some_trials(Rate(14, 200), Rate(10, 200))
    for row in rows(500, 500, start=NOW - 5 * WEEK):
        trials.add(row)
    trials.add(a_row(1, NOW + 2 * DAY))
    assert trials.judge("new", NOW, least=200).word is Word.ROLL_BACK


def test_five_failures_of_one_kind_in_a_row_suspend() -> None:
    trials = Trials("gray", ["agents"], [a_row(at, NOW + at, BAD) for at in range(4)])
    assert trials.burst("new") is None
    trials.add(a_row(4, NOW + 4, BAD))
    burst = trials.burst("new")
    assert burst == Burst(BAD, NOW + 4, ("r0", "r1", "r2", "r3", "r4"))
    assert trials.burst("new", since_milliseconds=NOW + 1) is None
    trials.add(a_row(5, NOW + 5, ToolVerdict.SCHEMA))
    assert trials.burst("new") is None
    assert Trials("gray", ["agents"], [a_row(at, NOW + at) for at in range(5)]).burst("new") is None
    note = suspension_note("gray", burst, seconds=3600)
    assert standing([note], "gray", NOW + 5).reason is NotGray.SUSPENDED
    assert standing([note], "gray", NOW + 4 + 3_600_000).reason is None


# --- how often it trips for nothing ---


def a_binomial(n: int, p: float) -> list[float]:
    logs = (
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
        for k in range(n + 1)
    )
    return [math.exp(one) for one in logs]


def trips(n: int, was: float, is_now: float) -> int:
    """Per cent of the pairs of weeks of `n` calls that look as if they rose by two points."""
    before, now = a_binomial(n, was), a_binomial(n, is_now)
    beyond = [*reversed([*accumulate(reversed(now))]), 0.0]
    least = next(rise for rise in range(n + 1) if rose(Rate(rise, n), Rate(0, n)))
    return round(100 * sum(chance * beyond[min(f0 + least, n + 1)] for f0, chance in enumerate(before)))


@pytest.mark.parametrize(
    ("n", "percent"),
    [(50, (35, 41, 43)), (100, (22, 31, 36)), (200, (10, 21, 28)), (400, (3, 11, 19)), (1000, (0, 2, 7))],
)
def test_false_trips_are_as_rare_as_the_specification_says(n: int, percent: tuple[int, int, int]) -> None:
    assert tuple(trips(n, rate, rate) for rate in (0.02, 0.05, 0.10)) == percent


def test_four_points_more_are_seen_as_often_as_the_specification_says() -> None:
    assert [trips(200, rate, rate + 0.04) for rate in (0.02, 0.05, 0.10)] == [88, 81, 76]


# --- taken back, and back again ---


def a_rollback() -> Note:
    judged = some_trials(Rate(20, 200), Rate(10, 200)).judge("new", NOW, least=200)
    return rollback_note("gray", "new", judged, now_milliseconds=NOW)


def test_a_rollback_is_sticky_and_says_what_it_rests_on() -> None:
    note = a_rollback()
    assert standing([note], "gray", NOW + 52 * WEEK).reason is NotGray.ROLLED_BACK
    for part in ('"failures":20', '"scored_before":200', '"rule":"enough"', '"baseline":"own"', '"samples":["r'):
        assert part in note.data


def test_a_rolled_back_pool_needs_a_ticket_and_a_harness_that_did_as_well_as_before() -> None:
    def problem(ticket: str = "OPS-7", models: tuple[str, ...] = ("new",), **harness: int) -> str:
        passed = HarnessPass(model="new", prompts=50, successes=0) if harness else None
        if passed is not None:
            passed = HarnessPass(**{"model": "new", "prompts": 50, "run": "r", **harness})
        enabled = Enabled(ticket=ticket, models=models, harness=passed)
        off = Note(id="off", kind="gray_disabled", subject="gray", at_milliseconds=NOW + 1)
        return rearm_problem(enabled, [a_rollback(), off], "gray", ticket_pattern=PATTERN)

    assert problem(successes=48) == ""
    assert problem(models=("another",)) == ""
    assert "a ticket is needed" in problem(ticket="please", successes=50)
    assert "needs a harness run of 50 prompts" in problem()
    assert "asked new 49 prompts; 50 are needed" in problem(prompts=49, successes=49)
    assert "did 47 of 50 in the harness; its last good figure is 190 of 200" in problem(successes=47)
    assert problem(successes=19, scored=20) == ""
    assert "did 18 of 20 in the harness" in problem(successes=18, scored=20)
    assert "scored 9 tool calls of new; 10 are needed" in problem(successes=9, scored=9)
    at = a_rollback().at_milliseconds
    assert "run r began before new was rolled back" in problem(successes=50, begun_milliseconds=at - 1)
    assert problem(successes=50, begun_milliseconds=at) == ""
    assert rearm_problem(Enabled(ticket="OPS-7"), [], "gray", ticket_pattern=PATTERN) == ""


def test_an_armed_pool_starts_over_with_the_proven_route_as_its_baseline() -> None:
    armed = enabling_note("gray", Enabled(ticket="OPS-7"), by="ada", now_milliseconds=NOW + 1)
    notes = [a_rollback(), armed]
    assert standing(notes, "gray", NOW + 2).reason is None
    since = armed_since(notes, "gray")
    judged = some_trials(Rate(20, 200), Rate(10, 200)).judge("new", NOW + 2, least=1, since_milliseconds=since)
    assert (since, judged.now, judged.word, judged.baseline) == (NOW + 1, Rate(), Word.INSUFFICIENT, Baseline.PROVEN)
    assert armed_since(notes, "another") == 0
    again = enabling_note("gray", Enabled(ticket="OPS-8"), by="ada", now_milliseconds=NOW + DAY)
    assert armed_since([*notes, again], "gray") == since, "arming what is armed forgets nothing"


def test_another_model_ends_a_rollback_and_begins_with_a_tenth_of_the_share() -> None:
    notes = [a_rollback()]
    assert note_of_change(notes, "gray", ("new",), now_milliseconds=NOW + 1) is None
    assert note_of_change([], "gray", ("newer",), now_milliseconds=NOW + 1) is None
    changed = note_of_change(notes, "gray", ("newer",), now_milliseconds=NOW + 1)
    assert changed is not None
    notes.append(changed)
    assert note_of_change(notes, "gray", ("newer",), now_milliseconds=NOW + 2) is None
    assert standing(notes, "gray", NOW + 2).reason is None
    shares = [share_now(Share(1, 10), notes, "gray", NOW + 1 + day * DAY) for day in range(9)]
    assert (shares[0], shares[7], shares[8]) == (Share(1, 100), Share(1, 10), Share(1, 10))
    fractions = [Fraction(share.part, share.whole) for share in shares]
    assert fractions == sorted(fractions)
    assert share_now(Share(1, 10), [], "gray", NOW) == Share(1, 10)


def test_a_pool_that_was_switched_off_by_hand_stays_off_whatever_is_in_it() -> None:
    off = Note(id="off", kind="gray_disabled", subject="gray", at_milliseconds=NOW + 1)
    assert note_of_change([a_rollback(), off], "gray", ("newer",), now_milliseconds=NOW + 2) is None
    suspended = suspension_note("gray", Burst(BAD, NOW + 1, ()), seconds=60)
    assert note_of_change([a_rollback(), suspended], "gray", ("newer",), now_milliseconds=NOW + 2) is not None


_CALLS = st.lists(
    st.tuples(st.integers(0, 16 * DAY), st.booleans(), st.sampled_from(["new", "newer", ""])), max_size=80
)


@settings(max_examples=100)
@given(_CALLS, st.integers(0, 16 * DAY), st.booleans())
def test_windows_are_those_of_a_plain_count(calls: list[tuple[int, bool, str]], since: int, monday: bool) -> None:
    """`model` "" is the proven route. Counted anew for every question, call by call."""
    some = [
        a_row(number, NOW - ago, BAD if failed else OK, gray=bool(model), model=model or "proven")
        for number, (ago, failed, model) in enumerate(calls)
    ]
    trials = Trials("gray", ["agents"], some)
    judge = trials.judge_week if monday else trials.judge
    judged = judge("new", NOW, least=1, since_milliseconds=NOW - since)
    end = MONDAY if monday else NOW + 1

    def count(start: int, until: int, model: str) -> Rate:
        mine = [failed for ago, failed, of in calls if of == model and start <= NOW - ago < until]
        return Rate(sum(mine), len(mine))

    before = count(max(end - 2 * WEEK, NOW - since), end - WEEK, "new")
    proven = count(max(end - WEEK, NOW - since), end, "")
    has_past = count(NOW - since, end - WEEK, "new").scored > 0
    assert judged.now == count(max(end - WEEK, NOW - since), end, "new")
    assert judged.before == (before if has_past else proven)
    assert judged.control_before == count(end - 2 * WEEK, end - WEEK, "")
