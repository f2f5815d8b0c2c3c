"""How much new work a node's health lets an upstream have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.config import Wellness
from fleet.traffic.signs import Sign, Signs
from fleet.traffic.wellness import Standing, Wellbeing, judge
from fleet.vocabulary.units import GIB, MIB

SETTINGS = Wellness(clean_samples=2, stale_seconds=20.0)
GOOD = Signs(
    sampled_at_seconds=0.0,
    heard_at=0.0,
    headroom_bytes=8 * GIB,
    swapout_bytes_per_second=0.0,
    pace_ratio=1.0,
    pressure_level=1,
    thermal_level=0,
    quarantined=False,
)
LESS = {
    Sign.HEADROOM: {"headroom_bytes": 600 * MIB},
    Sign.SWAPOUT: {"swapout_bytes_per_second": 20.0 * MIB},
    Sign.PACE: {"pace_ratio": 0.5},
    Sign.PRESSURE: {"pressure_level": 2},
    Sign.THERMAL: {"thermal_level": 1},
}
NONE = {
    Sign.QUARANTINE: {"quarantined": True},
    Sign.HEADROOM: {"headroom_bytes": 100 * MIB},
    Sign.SWAPOUT: {"swapout_bytes_per_second": 200.0 * MIB},
    Sign.PACE: {"pace_ratio": 0.1},
    Sign.PRESSURE: {"pressure_level": 4},
    Sign.THERMAL: {"thermal_level": 3},
}
READINGS = tuple(field.name for field in fields(Signs) if field.default is None)


def lived(samples: Sequence[Signs], *, settings: Wellness = SETTINGS, every: float = 5.0) -> list[Wellbeing]:
    """What is held after each of these samples, `every` seconds apart."""
    held, found = Wellbeing(), []
    for number, sample in enumerate(samples):
        at = every * (number + 1)
        held = judge(held, replace(sample, sampled_at_seconds=at, heard_at=at), settings=settings, now=at)
        found.append(held)
    return found


def standings(*samples: Signs) -> list[str]:
    return [held.standing.value for held in lived(samples)]


def bad(**changes: Any) -> Signs:
    return replace(GOOD, **changes)


@pytest.mark.parametrize("sign", LESS)
def test_a_sign_means_less_work_at_its_first_bad_sample_and_is_over_after_two_good_ones(sign: Sign) -> None:
    ill = bad(**LESS[sign])
    assert standings(GOOD, ill, GOOD, GOOD) == ["full", "less", "less", "full"]
    assert lived([ill])[0].word == sign.value


@pytest.mark.parametrize("sign", NONE)
def test_a_sign_that_is_very_bad_means_no_work_and_is_over_after_two_good_samples(sign: Sign) -> None:
    ill = bad(**NONE[sign])
    assert standings(GOOD, ill, ill, GOOD, GOOD) == ["full", "none", "none", "none", "full"]
    assert lived([ill])[0].word == sign.value


def test_what_gets_better_by_half_gets_half_the_work_after_two_samples() -> None:
    very, half = bad(headroom_bytes=0), bad(headroom_bytes=600 * MIB)
    assert standings(very, half, half, half) == ["none", "none", "less", "less"]
    assert standings(very, GOOD, half, GOOD, GOOD) == ["none", "none", "less", "less", "full"]


def test_good_is_clearly_better_than_bad() -> None:
    ill, nearly, well = (bad(headroom_bytes=size) for size in (GIB - 1, GIB + 1, int(1.25 * GIB)))
    assert standings(ill, nearly, nearly, nearly, well, well) == ["less"] * 5 + ["full"]
    assert standings(nearly) == ["full"]


def test_a_sample_between_good_and_bad_begins_the_count_anew() -> None:
    ill, nearly = bad(pace_ratio=0.5), bad(pace_ratio=0.7)
    assert standings(ill, GOOD, nearly, GOOD, GOOD) == ["less"] * 4 + ["full"]


def test_the_same_sample_read_again_is_one_sample() -> None:
    ill = bad(headroom_bytes=0)
    held = judge(Wellbeing(), ill, settings=SETTINGS, now=0.0)
    good = replace(GOOD, sampled_at_seconds=5.0, heard_at=5.0)
    for _ in range(5):
        held = judge(held, good, settings=SETTINGS, now=6.0)
    assert held.standing is Standing.NONE
    held = judge(held, replace(good, sampled_at_seconds=10.0, heard_at=10.0), settings=SETTINGS, now=10.0)
    assert held.standing is Standing.FULL


def test_a_stale_sample_says_nothing_and_a_note_says_so() -> None:
    ill = bad(headroom_bytes=0)
    held = judge(Wellbeing(), ill, settings=SETTINGS, now=19.0)
    assert (held.standing, held.known, held.note) == (Standing.NONE, True, "")
    held = judge(held, ill, settings=SETTINGS, now=21.0)
    assert (held.standing, held.known, held.note) == (Standing.FULL, False, "its last sample came 21.0 s ago")


def test_a_sign_that_is_not_read_any_more_is_forgotten_when_it_is_stale() -> None:
    ill, unknown = bad(pace_ratio=0.1), bad(pace_ratio=None)
    assert standings(ill, *[unknown] * 5) == ["none"] * 5 + ["full"]


def test_a_threshold_that_is_not_set_is_not_looked_at() -> None:
    deaf = Wellness(thermal_less_level=None, thermal_none_level=None, headroom_less_bytes=None)
    assert lived([bad(thermal_level=4, headroom_bytes=600 * MIB)], settings=deaf)[0].standing is Standing.FULL
    assert lived([bad(headroom_bytes=0)], settings=deaf)[0].standing is Standing.NONE


def test_the_worst_comes_first_and_every_ailment_is_told() -> None:
    held = lived([bad(thermal_level=1, swapout_bytes_per_second=500.0 * MIB)])[0]
    assert (held.standing, held.word) == (Standing.NONE, "swapout")
    assert held.reasons == ("swapping out 500 MiB/s", "thermal pressure is moderate")


def test_without_any_sample_nothing_is_known() -> None:
    assert judge(Wellbeing(), None, settings=SETTINGS, now=5.0) == Wellbeing()


def test_the_metric_counts_from_full_to_none() -> None:
    assert [standing.grade for standing in (Standing.FULL, Standing.LESS, Standing.NONE)] == [0, 1, 2]


levels = st.integers(0, 5)
some_signs = st.builds(
    Signs,
    sampled_at_seconds=st.just(0.0),
    heard_at=st.just(0.0),
    headroom_bytes=st.none() | st.integers(-GIB, 4 * GIB),
    swapout_bytes_per_second=st.none() | st.floats(0, 1e9) | st.just(math.inf),
    pace_ratio=st.none() | st.floats(0, 2),
    pressure_level=st.none() | levels,
    thermal_level=st.none() | levels,
    quarantined=st.none() | st.booleans(),
)


@given(st.lists(some_signs, max_size=12))
def test_nobody_gets_less_without_a_reason(samples: list[Signs]) -> None:
    for held in lived(samples):
        assert (held.standing is Standing.FULL) == (held.reasons == ()) == (held.word == "")
        assert all(held.reasons)


@given(st.lists(some_signs, min_size=1, max_size=30), st.integers(1, 4))
def test_whoever_is_let_in_again_had_so_many_samples_of_rest(samples: list[Signs], clean: int) -> None:
    settings = Wellness(clean_samples=clean, stale_seconds=1e9)
    grades = [0, *(held.standing.grade for held in lived(samples, settings=settings))]
    worst_at = 0
    for number in range(1, len(grades)):
        if grades[number] > grades[number - 1]:
            worst_at = number
        elif grades[number] < grades[number - 1]:
            assert number - worst_at >= clean


@given(st.lists(some_signs, max_size=8), st.sets(st.sampled_from(READINGS)))
def test_what_is_unknown_never_counts_as_bad(samples: list[Signs], hidden: set[str]) -> None:
    known = lived([replace(one) for one in samples])
    without = lived([replace(one, **dict.fromkeys(hidden)) for one in samples])
    assert all(less.standing.grade <= more.standing.grade for less, more in zip(without, known, strict=True))
    assert lived([replace(GOOD, **dict.fromkeys(READINGS))])[0].standing is Standing.FULL


@given(st.lists(some_signs, max_size=6), some_signs, st.data())
def test_a_worse_sample_never_gets_more_work(past: list[Signs], last: Signs, data: st.DataObject) -> None:
    def worse(value: float | None, *, low: bool) -> float | None:
        if value is None:
            return None
        return value - data.draw(st.integers(0, GIB)) if low else value + data.draw(st.integers(0, 5))

    ill = replace(
        last,
        headroom_bytes=worse(last.headroom_bytes, low=True),
        swapout_bytes_per_second=worse(last.swapout_bytes_per_second, low=False),
        pressure_level=worse(last.pressure_level, low=False),
        thermal_level=worse(last.thermal_level, low=False),
    )
    assert lived([*past, ill])[-1].standing.grade >= lived([*past, last])[-1].standing.grade
