"""What a laptop says of its power, heat and memory: three small commands, each of which may be missing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from fleet.control.actions.laptop.guard import Reading
from fleet.vocabulary.macos.digits import whole
from fleet.vocabulary.macos.notifyutil import THERMAL_KEY, parse_notify_state, thermal_level
from fleet.vocabulary.macos.pmset import parse_power_source

Say = Callable[[tuple[str, ...]], str]
"""What a command prints; "" when it fails or is not there."""

_BATTERY = ("pmset", "-g", "batt")
_THERMAL = ("notifyutil", "-g", THERMAL_KEY)
_PRESSURE = ("sysctl", "-n", "kern.memorystatus_vm_pressure_level")
_PRESSURE_LEVELS = (1, 2, 4)
_SECONDS = 5.0


def read(say: Say) -> Reading:
    """All that there is to know now (macOS facts: sections 3, 4 and 9)."""
    source = parse_power_source(say(_BATTERY))
    pressure = whole(say(_PRESSURE).strip())
    return Reading(
        on_battery=None if source is None else source != "AC Power",
        thermal_level=thermal_level(parse_notify_state(say(_THERMAL), THERMAL_KEY)),
        pressure_level=pressure if pressure in _PRESSURE_LEVELS else None,
    )


def say(words: tuple[str, ...]) -> str:
    """Ask this machine."""
    try:
        answer = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout if answer.returncode == 0 else ""
