"""`fleet ledger`: fronts are added line by line; times and names as people give them; amounts are exact."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.cli.ledger import ledger_table
from fleet.control.actions.ledger import as_builtins, as_csv, instant, summed
from fleet.errors import UsageError
from fleet.vocabulary.contracts.ledger_admin import LedgerBy, LedgerLine, LedgerReport
from fleet.vocabulary.names import NodeName

_NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
_LINES = st.lists(
    st.builds(
        LedgerLine,
        names=st.tuples(st.sampled_from(["kimi", "owl", ""])),
        requests=st.integers(0, 10**6),
        completion_tokens=st.integers(0, 10**9),
        spent_pico=st.integers(-(10**12), 10**15),
        reserved_pico=st.integers(0, 10**12),
    ),
    max_size=3,
    unique_by=lambda line: line.names,
)


def reports(*fronts: list[LedgerLine]) -> dict[NodeName, LedgerReport]:
    return {
        NodeName(f"front-{number}"): LedgerReport(node=f"front-{number}", lines=tuple(lines))
        for number, lines in enumerate(fronts)
    }


@given(st.lists(_LINES, min_size=1, max_size=4))
def test_every_line_of_every_front_is_counted_once(fronts: list[list[LedgerLine]]) -> None:
    sums = summed((LedgerBy.MODEL,), reports(*fronts))
    every = [line for lines in fronts for line in lines]

    for name in ("requests", "completion_tokens", "spent_pico", "reserved_pico"):
        assert getattr(sums.total, name) == sum(getattr(line, name) for line in every)
    assert len({line.names for line in sums.lines}) == len(sums.lines)
    assert len(sums.fronts) == len(fronts)


def test_the_dearest_line_is_first_and_days_are_in_their_order() -> None:
    lines = [LedgerLine(names=("a",), spent_pico=1), LedgerLine(names=("b",), spent_pico=9)]

    assert [line.names for line in summed((LedgerBy.KEY,), reports(lines)).lines] == [("b",), ("a",)]
    assert [line.names for line in summed((LedgerBy.DAY,), reports(lines)).lines] == [("a",), ("b",)]


@pytest.mark.parametrize(
    ("text", "zone", "begins"),
    [
        ("2026-11-22", "UTC", "2026-11-22T00:00+00:00"),
        ("2026-11", "UTC", "2026-11-01T00:00+00:00"),
        ("2026-11", "Europe/Berlin", "2026-10-31T23:00+00:00"),
        ("2026-W53", "Europe/Berlin", "2026-12-28T00:00+00:00"),
        ("7d", "UTC", "2026-11-15T00:00+00:00"),
        ("0d", "Asia/Tokyo", "2026-11-21T15:00+00:00"),
    ],
)
def test_a_time_is_a_day_a_month_a_week_or_so_many_days_ago(text: str, zone: str, begins: str) -> None:
    assert instant(text, budget_tz=zone, now=_NOW) == datetime.fromisoformat(begins).timestamp() * 1000


@given(st.text(max_size=12))
def test_whatever_is_said_as_a_time_is_a_time_or_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        assert isinstance(instant(text, now=_NOW), int)


def test_csv_has_exact_amounts_and_no_formula() -> None:
    line = LedgerLine(names=("=cmd()", "-"), requests=2, spent_pico=-1_234_567_890_123)
    text = as_csv(summed((LedgerBy.KEY, LedgerBy.TEAM), reports([line])))

    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["key"], row["requests"], row["spent_usd"], row["reserved_usd"]) == (
        "'=cmd()",
        "2",
        "-1.234567890123",
        "0",
    )


def test_json_says_which_fronts_are_in_the_sums() -> None:
    found = as_builtins(summed((LedgerBy.MODEL,), reports([LedgerLine(names=("kimi",), spent_pico=5)])))

    assert found["fronts"] == ["front-0"]
    assert found["lines"] == [
        {
            "model": "kimi",
            **dict.fromkeys(
                ("requests", "failed", "untold", "prompt_tokens", "completion_tokens", "cached_tokens", "attempts"), 0
            ),
            "spent_usd": "0.000000000005",
            "reserved_usd": "0",
        }
    ]


def test_the_table_ends_with_the_sum_of_its_lines() -> None:
    from rich.console import Console

    lines = [
        LedgerLine(names=("kimi",), requests=1200, failed=3, prompt_tokens=5_000_000, spent_pico=12_500_000_000_000),
        LedgerLine(names=("",), requests=1, reserved_pico=4_200_000_000),
    ]
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(ledger_table(summed((LedgerBy.MODEL,), reports(lines))))
    text = [" ".join(line.split()) for line in console.export_text().splitlines()]

    assert "kimi 1,200 3 5,000,000 0 12.50" in text
    assert "- 1 0 0 0.00 0.0042" in text
    assert "all 1,201 3 5,000,000 0 12.50 0.0042" in text
