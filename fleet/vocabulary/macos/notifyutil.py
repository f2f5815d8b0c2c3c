"""`notifyutil -g KEY`: the state of a notify(3) key. Standard library only.

0 is also what a key says that nobody publishes, and a failure ends with exit 0 (FACTS section 4.3).
"""

from __future__ import annotations

from fleet.vocabulary.macos.digits import whole

THERMAL_KEY = "com.apple.system.thermalpressurelevel"
THERMAL_WORDS = ("nominal", "moderate", "heavy", "trapping", "sleeping")
"""Thermal pressure on macOS, by its level. iOS counts 0, 10, ... 50: above 4 is not ours."""


def parse_notify_state(text: str, key: str) -> int | None:
    """The state of `key`; unknown for another key, a failure or anything else."""
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return whole(value)
    return None


def thermal_level(state: int | None) -> int | None:
    """The thermal pressure level 0-4 that a notify state is; unknown outside."""
    return state if state is not None and 0 <= state < len(THERMAL_WORDS) else None
