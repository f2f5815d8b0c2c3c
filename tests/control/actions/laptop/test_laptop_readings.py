"""What a Mac prints of battery, heat and memory; what is missing or odd is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fleet.control.actions.laptop.guard import Reading
from fleet.control.actions.laptop.readings import read, say

SAMPLES = Path(__file__).parents[3] / "samples"


def told(answers: Mapping[str, str]) -> Reading:
    return read(lambda words: answers.get(words[0], ""))


def test_the_recorded_battery_and_levels_are_read() -> None:
    batt = (SAMPLES / "power" / "pmset-g-batt.txt").read_text()
    found = told({"pmset": batt, "notifyutil": "com.apple.system.thermalpressurelevel 1\n", "sysctl": "4\n"})
    assert found == Reading(on_battery="'AC Power'" not in batt, thermal_level=1, pressure_level=4)
    assert told({"pmset": "Now drawing from 'Battery Power'\n"}).on_battery is True


@pytest.mark.parametrize(
    "odd", ["", "?", "-1", "3", "99999999999999999999", "com.apple.system.thermalpressurelevel 50"]
)
def test_what_is_missing_or_odd_is_unknown_and_never_a_zero(odd: str) -> None:
    assert told({"pmset": odd, "notifyutil": odd, "sysctl": odd}) == Reading()


def test_a_command_that_is_not_there_or_fails_says_nothing() -> None:
    assert say(("no-such-command-of-a-mac",)) == ""
    assert say(("false",)) == ""
