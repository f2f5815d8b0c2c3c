"""The benchmark of hundreds of nodes says what one node more costs, and the page says what it recorded."""

from __future__ import annotations

import pytest

from bench import page
from bench.demand import judge
from bench.deploy.rows import Results, Row, load, medians
from bench.many.demands import DEMANDS, FEW, MANY, more_per_node
from bench.many.run import RESULTS
from bench.many.table import tables


def of(few: tuple[float, float], many: tuple[float, float]) -> Results:
    """Processor seconds and MB with few nodes and with many."""
    rows = [
        Row(tool="fleet", case="noop", n=n, rtt_ms=0, wall_s_median=1.0, cpu_s_median=cpu, peak_mb=peak)
        for n, (cpu, peak) in ((FEW, few), (MANY, many))
    ]
    return Results(date="2026-11-22", seconds=1, machine={}, versions={}, rows=medians(rows))


def test_what_one_node_more_costs_is_the_slope_and_not_the_start() -> None:
    results = of((0.3, 40.0), (0.9, 47.5))
    assert more_per_node(results, "cpu_s_median") == pytest.approx(0.004)
    assert more_per_node(results, "peak_mb") == pytest.approx(0.05)
    assert all(one.holds for one in judge(DEMANDS, results))
    assert [one.holds for one in judge(DEMANDS, of((0.3, 40.0), (1.8, 61.0)))] == [False, False, False]


def test_what_was_not_measured_is_not_met() -> None:
    empty = Results(date="2026-11-22", seconds=1, machine={}, versions={})
    assert more_per_node(empty, "peak_mb") is None
    assert not any(one.holds for one in judge(DEMANDS, empty))


def test_the_page_says_what_the_results_say() -> None:
    text = page.PAGE.read_text()
    assert page.put(text, "many", tables(load(RESULTS))) == text
