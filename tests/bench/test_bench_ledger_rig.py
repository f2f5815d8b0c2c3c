"""The ledger's benchmark says pass only for what was measured, and the page says what it recorded."""

from __future__ import annotations

from pathlib import Path

import uvloop

from bench import page
from bench.demand import judge
from bench.ledger.case import measured, naive
from bench.ledger.demands import DEMANDS
from bench.ledger.rows import Results, Row, load
from bench.ledger.run import RESULTS
from bench.ledger.table import tables


def results(*rows: Row) -> Results:
    return Results(date="2026-11-22", seconds=1, machine={}, versions={}, rounds=1, rows=rows)


def row(case: str, per_second: float, wait: float | None = None) -> Row:
    return Row(case=case, pairs=1, pairs_per_second=per_second, cpu_us_per_pair=1, wait_p50_us=wait)


def test_what_was_not_measured_is_not_met() -> None:
    assert not any(one.holds for one in judge(DEMANDS, results()))


def test_demands_are_met_at_their_bounds_and_not_beyond() -> None:
    good = results(
        *(row("many", 20_000), row("naive", 11_999), row("many_full", 8_000), row("naive_full", 2_000)),
        *(row("busy", 1, 150), row("alone", 1, 150)),
    )
    bad = results(
        *(row("many", 19_999), row("naive", 12_100), row("many_full", 7_999), row("naive_full", 2_001)),
        *(row("busy", 1, 151), row("alone", 1, 151)),
    )

    assert all(one.holds for one in judge(DEMANDS, good))
    assert not any(one.holds for one in judge(DEMANDS, bad))


def test_a_case_measures_the_real_ledger_and_sqlite_alone(tmp_path: Path) -> None:
    found = uvloop.run(measured("many", tmp_path, 0.05))
    bare = naive("naive_full", tmp_path, 0.05)

    assert found.pairs > 0
    assert found.rows_per_commit is not None
    assert found.wait_p50_us is not None
    assert bare.pairs > 0
    assert bare.wait_p50_us is None


def test_the_page_says_what_was_recorded() -> None:
    text = page.PAGE.read_text()

    assert page.put(text, "ledger", tables(load(RESULTS))) == text
