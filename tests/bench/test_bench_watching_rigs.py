"""The benchmarks of agent and poller say pass only for what was measured, and the page says what they recorded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench import cost, page
from bench.agent import demands as agent_demands
from bench.agent import rows as agent_rows
from bench.agent.run import RESULTS as AGENT_RESULTS
from bench.demand import Demand, judge
from bench.poll import demands as poll_demands
from bench.poll import rows as poll_rows
from bench.poll.run import RESULTS as POLL_RESULTS

ROOT = Path(__file__).resolve().parents[2]


def an_agent(name: str, **changes: float | None) -> agent_rows.Row:
    row = agent_rows.Row(
        agent=name,
        cpu_percent=1.0,
        resident_mb=20.0,
        own_mb=10.0,
        p50_ms=1.0,
        p99_ms=2.0,
        page_kb=3.0,
        scrapes=10,
        failed=0,
        processes=1,
        start_seconds=0.1,
        forks=0,
    )
    return msgspec.structs.replace(row, **changes)


def agents(*rows: agent_rows.Row) -> agent_rows.Results:
    return agent_rows.Results(
        date="2026-11-22", seconds=1, machine={}, versions={}, every_seconds=5, other_processes=0, rows=rows
    )


def test_a_demand_that_was_not_measured_is_not_met() -> None:
    assert [one.holds for one in judge(agent_demands.DEMANDS, agents())] == [False] * len(agent_demands.DEMANDS)
    alone = judge(agent_demands.DEMANDS, agents(an_agent("fleet")))
    assert [one.demand.against for one in alone if one.holds] == ["itself", "itself"]
    assert {one.shown for one in alone if not one.holds} == {"not measured"}


def test_a_demand_is_met_at_its_bound_and_not_beyond() -> None:
    peers = (an_agent("node_exporter"), an_agent("glances"))
    good = an_agent("fleet", cpu_percent=0.05, resident_mb=25.0, p50_ms=0.15)
    assert all(one.holds for one in judge(agent_demands.DEMANDS, agents(good, *peers)))
    for name, value in (("cpu_percent", 0.051), ("resident_mb", 25.1), ("p50_ms", 0.16), ("forks", 1), ("failed", 1)):
        bad = msgspec.structs.replace(good, **{name: value})
        assert [one.holds for one in judge(agent_demands.DEMANDS, agents(bad, *peers))].count(False) == 1, name


@pytest.mark.parametrize(("measured", "holds"), [(None, False), (float("nan"), False), (1.0, True), (1.1, False)])
def test_the_verdict_of_a_number(measured, holds) -> None:
    (verdict,) = judge([Demand("x", "y", "", lambda _: measured, 1.0)], None)
    assert verdict.holds is holds


def test_means_keep_the_worst_tail_and_every_failure() -> None:
    (row,) = agent_rows.means([an_agent("fleet", p50_ms=1, p99_ms=9, failed=1), an_agent("fleet", p50_ms=2, p99_ms=5)])
    assert (row.p50_ms, row.p99_ms, row.failed, row.scrapes, row.repetitions) == (1.5, 9, 1, 20, 2)


def test_no_recorded_run_of_the_agent_misses_a_row() -> None:
    found = agent_rows.load(AGENT_RESULTS)
    assert [row.agent for row in found.rows] == ["fleet", "node_exporter", "glances"]
    assert all(one.measured is not None for one in judge(agent_demands.DEMANDS, found))


def test_no_recorded_run_of_the_poller_misses_a_row() -> None:
    from bench.poll.client import WAYS

    found = poll_rows.load(POLL_RESULTS)
    assert tuple(row.way for row in found.rows) == WAYS
    assert {row.nodes for row in found.rows} == {100}
    assert all(one.measured is not None for one in judge(poll_demands.DEMANDS, found))


@pytest.mark.parametrize("name", ["agent", "poll"])
def test_the_page_says_what_the_results_say(name: str) -> None:
    checked = subprocess.run([sys.executable, "-m", f"bench.{name}.table", "--check"], cwd=ROOT, check=False)
    assert checked.returncode == 0, f"python -m bench.{name}.table --write"


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="bench/agent/table"):
        page.put("nothing here", "agent", "text")


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_the_cost_of_a_process_is_its_own_clock() -> None:
    busy = [sys.executable, "-c", "sum(range(3_000_000)); print(flush=True); input()"]
    with subprocess.Popen(busy, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 0.01 < cost.cpu_seconds([process.pid]) < 60
        assert cost.resident_mb([process.pid]) > 1
        assert process.pid in cost.family(process.pid)
        process.communicate(b"\n")
    assert cost.cpu_seconds([process.pid]) == 0.0
