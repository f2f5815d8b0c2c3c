"""The guard of a laptop: what stops the model, at once or after a while, and when it comes back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.actions.laptop.guard import GuardTerms, Reading, Standing, back_in_seconds, step

TERMS = GuardTerms(warned_seconds=30, well_seconds=120)
WELL = Reading(on_battery=False, thermal_level=0, pressure_level=1)
READINGS = st.builds(
    Reading,
    on_battery=st.none() | st.booleans(),
    thermal_level=st.none() | st.integers(0, 4),
    pressure_level=st.sampled_from([None, 1, 2, 4]),
)


def after(*readings: tuple[float, Reading], terms: GuardTerms = TERMS) -> Standing:
    standing = Standing()
    for at, reading in readings:
        standing = step(standing, reading, at, terms)
    return standing


@pytest.mark.parametrize(
    ("reading", "reason", "at_once"),
    [
        (Reading(on_battery=True), "it runs on battery", False),
        (Reading(thermal_level=2), "it is hot: thermal pressure is heavy", False),
        (Reading(pressure_level=4), "memory pressure is critical", True),
        (Reading(on_battery=True, pressure_level=4), "memory pressure is critical", True),
    ],
)
def test_battery_heat_and_critical_memory_stop_it_with_the_first_reading(
    reading: Reading, reason: str, at_once: bool
) -> None:
    found = after((5, reading))
    assert (found.runs, found.reason, found.at_once, found.since) == (False, reason, at_once, 5)


def test_a_warning_stops_it_only_when_it_stays() -> None:
    warned = Reading(pressure_level=2)
    assert after((0, warned), (29, warned)).runs
    assert after((0, warned), (20, WELL), (40, warned), (69, warned)).runs
    found = after((0, warned), (30, warned))
    assert (found.runs, found.reason) == (False, "memory has been under pressure for 30 s")


def test_it_comes_back_only_after_a_time_without_anything_wrong() -> None:
    battery = Reading(on_battery=True)
    stopped = after((0, battery), (10, WELL), (129, WELL))
    assert (stopped.runs, stopped.reason, stopped.since) == (False, "it runs on battery", 0)
    assert back_in_seconds(stopped, 129, TERMS) == 1
    assert after((0, battery), (10, WELL), (130, WELL)).runs
    assert not after((0, battery), (10, WELL), (100, battery), (130, WELL), (249, WELL)).runs


def test_a_battery_may_be_allowed_and_the_unknown_is_no_reason() -> None:
    assert after((0, Reading(on_battery=True)), terms=GuardTerms(battery_stops=False)).runs
    assert after((0, Reading())).runs
    assert Reading().blind
    assert not WELL.blind


@given(st.lists(st.tuples(st.floats(0.1, 60), READINGS), min_size=1, max_size=60))
def test_it_never_starts_within_the_time_it_must_be_well_and_never_runs_while_it_must_not(
    steps: list[tuple[float, Reading]],
) -> None:
    now, standing, seen = 0.0, Standing(), [(0.0, Standing())]
    bad_at = float("-inf")
    for seconds, reading in steps:
        now += seconds
        standing = step(standing, reading, now, TERMS)
        seen.append((now, standing))
        must_stop = reading.on_battery or reading.pressure_level == 4 or (reading.thermal_level or 0) >= 2
        assert not (must_stop and standing.runs)
        if must_stop or reading.pressure_level == 2:
            bad_at = now
        assert bool(standing.reason) is not standing.runs
    for (_, before), (at, then) in pairwise(seen):
        if then.runs and not before.runs:
            assert before.well_since is not None
            assert at - before.well_since >= TERMS.well_seconds
    assert standing.runs or now - bad_at < TERMS.well_seconds + 60.1 or standing.well_since is not None
