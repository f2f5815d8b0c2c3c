"""The rig of the screen's benchmark: what its terminal understands, what it demands, how a leak is told from noise."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.demand import judge
from bench.machine import ROOT
from bench.top import moving
from bench.top.demands import DEMANDS
from bench.top.rows import Row, joined, load
from bench.top.run import CASES, RESULTS
from bench.top.slope import settled, slope
from bench.top.soakrows import Count, Sample, Soak
from bench.top.vt import Vt

WORDS = "\x1b[?25l\x1b[2;3H\x1b[1;48;2;68;68;68mmini\x1b[0m-01\x1b[1;1Hhead\x1b[?2026$p"


def shown(*parts: str) -> Vt:
    screen = Vt(20, 3)
    for part in parts:
        screen.feed(part)
    return screen


def test_a_terminal_knows_places_words_and_grounds() -> None:
    screen = shown(WORDS)
    assert screen.text == "head\n  mini-01\n"
    assert [screen.ground(x, 1) for x in (1, 2, 5, 6)] == ["", "2;68;68;68", "2;68;68;68", ""]


@given(st.lists(st.integers(0, len(WORDS)), max_size=4))
def test_where_output_is_cut_makes_no_difference(cuts: list[int]) -> None:
    cut = shown(*(WORDS[start:end] for start, end in pairwise(sorted({0, len(WORDS), *cuts}))))
    assert cut.text == shown(WORDS).text


def test_the_slope_is_growth_in_an_hour_whatever_the_noise() -> None:
    chance = random.Random(3)
    noise = [(at * 30.0, chance.choice((80.0, 80.1, 80.2, 95.0))) for at in range(240)]
    assert slope(noise) == pytest.approx(0.0, abs=0.2)
    assert slope([(at, value + at / 3600 * 5) for at, value in noise]) == pytest.approx(5.0, abs=0.2)
    assert slope([(1.0, 2.0)]) is None


def test_what_comes_once_is_no_leak() -> None:
    points = [(float(at), 60.0 if at < 10 else 80.0) for at in range(100)]
    assert slope(settled(points, after=0.5)) == 0.0


def test_a_soak_tells_what_grows() -> None:
    samples = tuple(
        Sample(at_seconds=at, resident_mb=80 + at / 3600, threads=9, descriptors=11) for at in range(0, 7200, 60)
    )
    counts = tuple(Count(at_seconds=at, objects=100_000) for at in range(0, 7200, 120))
    soak = Soak(date="", seconds=7200, machine={}, versions={}, nodes=4, rounds=1, happened=1, cpu_percent=3.0,
                most_mb=82.0, samples=samples, counts=counts)  # fmt: skip
    assert soak.per_hour("resident_mb") == pytest.approx(1.0)
    assert (soak.per_hour("objects"), soak.per_hour("threads")) == (0.0, 0.0)


def test_readings_are_others_and_a_front_leaves_out_what_works() -> None:
    first, second, *_ = moving.states(200, moving=0.3)
    assert [one.node for one in first] == [one.node for one in second]
    assert sum(a.sidecars != b.sidecars for a, b in zip(first, second, strict=True)) > 100
    told = moving.words(first)
    assert len(msgspec.json.encode(told.brief())) < 0.7 * len(msgspec.json.encode(told))


def test_a_part_of_a_run_takes_the_place_of_what_was_measured_before() -> None:
    old, new, other = (
        Row(screen=screen, feed="alone", nodes=50, cpu_moving_percent=cpu, cpu_idle_percent=0.1, output_moving_kb=1.0)
        for screen, cpu in (("top", 9.0), ("top", 1.0), ("table", 5.0))
    )
    assert joined([old, other], [new]) == (new, other)


def test_no_recorded_run_misses_a_row() -> None:
    found = load(RESULTS)
    assert {f"{row.screen}:{row.feed}:{row.nodes}" for row in found.rows} == set(CASES)
    assert all(one.measured is not None for one in judge(DEMANDS, found))


def test_the_page_says_what_the_results_say() -> None:
    checked = subprocess.run([sys.executable, "-m", "bench.top.table", "--check"], cwd=ROOT, check=False)
    assert checked.returncode == 0, "python -m bench.top.table --write"
