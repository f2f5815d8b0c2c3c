"""What fronts tell of their use is added up: sums by adding, quantiles within 2 % of the true ones."""

from __future__ import annotations

import csv
import io
import math
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.practice.sources import Told
from fleet.practice.usage import SUMS, Usage, quantile_of, together, tool_use
from fleet.practice.usagetable import as_builtins, as_csv
from fleet.vocabulary.contracts.ledger import ToolVerdict
from fleet.vocabulary.contracts.usage import Measure, UsageBy, UsageLine, UsageQuery, UsageReport
from fleet.vocabulary.quantiles import counted

QUERY = UsageQuery(by=(UsageBy.MODEL,), measures=(Measure.SECONDS,))
_VALUES = st.lists(st.integers(1, 10**6), min_size=1, max_size=20)
_LINES = st.builds(
    UsageLine,
    names=st.tuples(st.sampled_from(["kimi", "owl", ""])),
    **{name: st.integers(0, 10**9) for name in SUMS},
    verdicts=st.dictionaries(st.sampled_from(ToolVerdict), st.integers(1, 99), max_size=3),
    spreads=st.fixed_dictionaries({Measure.SECONDS: _VALUES.map(counted)}),
)
_FRONTS = st.lists(st.lists(_LINES, max_size=3, unique_by=lambda line: line.names), min_size=1, max_size=4)


def told(*fronts: list[UsageLine], **away: str) -> Told[UsageReport]:
    reports = {
        f"front-{number}": UsageReport(node=f"front-{number}", lines=tuple(lines), oldest_milliseconds=number or None)
        for number, lines in enumerate(fronts)
    }
    return Told(reports=reports, away=away)


@settings(max_examples=50)
@given(_FRONTS)
def test_every_line_of_every_front_is_counted_once(fronts: list[list[UsageLine]]) -> None:
    usage = together(QUERY, told(*fronts))
    every = [line for lines in fronts for line in lines]

    for name in SUMS:
        assert sum(getattr(line, name) for line in usage.lines) == sum(getattr(line, name) for line in every)
        if name != "sessions":
            assert getattr(usage.total, name) == sum(getattr(line, name) for line in every)
    assert len({line.names for line in usage.lines}) == len(usage.lines)
    assert sum(usage.total.verdicts.values()) == sum(count for line in every for count in line.verdicts.values())


@given(st.lists(_VALUES, min_size=1, max_size=4), st.sampled_from([0.5, 0.95]))
def test_a_quantile_of_several_fronts_is_within_two_percent_of_that_of_all_values(
    fronts: list[list[int]], share: float
) -> None:
    lines = [[UsageLine(names=("m",), spreads={Measure.SECONDS: counted(values)})] for values in fronts]
    every = sorted(value for values in fronts for value in values)

    (line,) = together(QUERY, told(*lines)).lines

    true = every[max(math.ceil(share * len(every)), 1) - 1]
    assert quantile_of(line, Measure.SECONDS, share) == pytest.approx(true, rel=0.0201)
    assert quantile_of(line, Measure.TURNS, share) is None


def test_who_is_away_is_named_and_the_oldest_request_is_that_of_any_front() -> None:
    usage = together(QUERY, told([], [], [], attic="no session"))

    assert (usage.fronts, usage.away) == (("front-0", "front-1", "front-2"), {"attic": "no session"})
    assert usage.oldest_milliseconds == 1


def test_a_conversation_with_two_models_is_not_two_conversations_in_the_sum() -> None:
    lines = [
        UsageLine(names=(name,), requests=1, sessions=1, spreads={Measure.TURNS: {0: 1}, Measure.SECONDS: {0: 1}})
        for name in ("kimi", "owl")
    ]
    total = together(QUERY, told(lines)).total

    assert (total.requests, total.sessions, total.spreads) == (2, 0, {Measure.SECONDS: {0: 2}})
    whole = together(UsageQuery(by=()), told([UsageLine(names=(), sessions=3)])).total
    assert whole.sessions == 3


def test_a_rate_of_tool_calls_is_of_those_that_can_be_judged() -> None:
    verdicts = {ToolVerdict.OK: 6, ToolVerdict.OK_SOFT: 1, ToolVerdict.SCHEMA: 1, ToolVerdict.NO_CALL: 2}
    found = tool_use(UsageLine(names=(), verdicts={**verdicts, ToolVerdict.CANCELLED: 90, ToolVerdict.INFRA: 9}))

    assert (found.successes, found.failures, found.unused) == (7, 1, 2)
    assert (found.error_rate, found.call_rate) == (1 / 8, 8 / 10)
    nothing = tool_use(UsageLine(names=(), verdicts={ToolVerdict.INFRA: 5}))
    assert (nothing.error_rate, nothing.call_rate) == (None, None)


def _usage() -> Usage:
    line = UsageLine(
        names=("=cmd()",),
        requests=2,
        sessions=1,
        spent_pico=-1_234_567_890_123,
        verdicts={ToolVerdict.SCHEMA: 1},
        spreads={Measure.SECONDS: counted([1.0, 2.0])},
    )
    return together(QUERY, told([line], attic="gone"))


def test_csv_has_exact_amounts_empty_cells_for_what_is_unknown_and_no_formula() -> None:
    (row,) = csv.DictReader(io.StringIO(as_csv(_usage())))

    assert (row["model"], row["requests"], row["spent_usd"]) == ("'=cmd()", "2", "-1.234567890123")
    assert float(row["seconds_p95"]) == pytest.approx(2, rel=0.03)
    assert row["turns_p95"] == ""


def test_json_says_which_fronts_are_in_it_and_which_are_not() -> None:
    found = as_builtins(_usage())

    assert (found["by"], found["fronts"], found["away"]) == (["model"], ["front-0"], {"attic": "gone"})
    (line,) = cast(list[dict[str, object]], found["lines"])
    assert (line["model"], line["verdicts"], line["tool_calls_failed"]) == ("=cmd()", {"schema": 1}, 1)
    assert found["total"]["sessions"] is None  # type: ignore[index]
