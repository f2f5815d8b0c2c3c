"""The deploy benchmark says pass only for what was measured, and the page says what it recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench import page
from bench.demand import judge
from bench.deploy.demands import DEMANDS
from bench.deploy.rows import Results, Row, load, medians
from bench.deploy.run import RESULTS
from bench.deploy.table import tables

ROOT = Path(__file__).resolve().parents[2]


def a_row(tool: str, case: str, n: int, rtt_ms: int, wall_s: float, **changes: float) -> Row:
    row = Row(tool=tool, case=case, n=n, rtt_ms=rtt_ms, wall_s_median=wall_s, cpu_s_median=0.2, peak_mb=40.0)
    return msgspec.structs.replace(row, **changes)


def of(*rows: Row) -> Results:
    return Results(date="2026-11-22", seconds=1, machine={}, versions={}, rows=medians(rows))


def test_what_was_not_measured_is_not_met() -> None:
    assert not any(one.holds for one in judge(DEMANDS, of()))


def test_ratios_are_of_the_same_number_of_nodes_and_the_same_distance() -> None:
    ours = a_row("fleet", "noop", 32, 20, 1.0)
    met = {one.demand.text for one in judge(DEMANDS, of(ours, a_row("pyinfra", "noop", 32, 20, 4.0))) if one.holds}
    assert met == {"no-op, 32 nodes, 20 ms"}
    others = (a_row("pyinfra", "noop", 32, 0, 9.0), a_row("pyinfra", "noop", 1, 20, 9.0))
    assert not any(one.holds for one in judge(DEMANDS, of(ours, *others)))


def test_medians_count_and_the_most_of_memory_and_connections_is_kept() -> None:
    rows = [
        a_row("fleet", "noop", 1, 0, wall, peak_mb=peak, connections=1.0) for wall, peak in ((3, 1), (1, 9), (2, 2))
    ]
    (row,) = medians(rows)
    assert (row.wall_s_median, row.wall_s_least, row.wall_s_most, row.peak_mb) == (2, 1, 3, 9)
    assert (row.connections, row.repetitions) == (1.0, 3)


def test_round_trips_are_what_distance_adds_for_one_node() -> None:
    near, far, many = medians(
        [a_row("fleet", "noop", 1, 0, 0.2), a_row("fleet", "noop", 1, 20, 0.36), a_row("fleet", "noop", 8, 20, 1.0)]
    )
    assert (near.round_trips, far.round_trips, many.round_trips) == (None, 8.0, None)


def test_the_page_says_what_the_results_say() -> None:
    text = page.PAGE.read_text()
    assert page.put(text, "deploy", tables(load(RESULTS))) == text


@pytest.mark.skipif(sys.platform != "linux", reason="the benchmark is for Linux")
def test_a_command_is_timed_with_what_it_leaves_behind() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.deploy.timed", "sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & exit 3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["code"] == 3
    assert found["wall_s"] < 60
