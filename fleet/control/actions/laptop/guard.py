"""When the model of a laptop runs, and when it makes room for who sits before it. Pure.

Battery, heat and critical memory pressure stop it at once; a warning of memory pressure only when it stays. It comes
back when nothing has been wrong for a while: a model that is loaded and dropped again and again is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleet.vocabulary.macos.notifyutil import THERMAL_WORDS

ON_BATTERY = "it runs on battery"
PRESSURE_WARN, PRESSURE_CRITICAL = 2, 4
"""kern.memorystatus_vm_pressure_level; 1 is normal."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What this machine says now. None = it does not say, which is no reason for anything."""

    on_battery: bool | None = None
    thermal_level: int | None = None
    pressure_level: int | None = None

    @property
    def blind(self) -> bool:
        """Whether there is nothing to guard by."""
        return self.on_battery is None and self.thermal_level is None and self.pressure_level is None


@dataclass(frozen=True, kw_only=True)
class GuardTerms:
    """What stops the model. `thermal_level`: heavy and above. `warned_seconds`: how long a warning may stay.

    `well_seconds`: how long nothing may be wrong before it is started again.
    """

    battery_stops: bool = True
    thermal_level: int = 2
    warned_seconds: float = 30.0
    well_seconds: float = 120.0


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Whether the model runs. Times are monotonic seconds; `reason` is why it does not, "" while it does.

    `at_once`: there is no time to let requests end.
    """

    runs: bool = True
    reason: str = ""
    at_once: bool = False
    since: float = 0.0
    warned_since: float | None = None
    well_since: float | None = None


def step(before: Standing, reading: Reading, now: float, terms: GuardTerms) -> Standing:
    """What becomes of the model with a new reading."""
    warned = _warned_since(before, reading, now)
    reason = _reason(reading, warned, now, terms)
    if reason:
        at_once = reading.pressure_level is not None and reading.pressure_level >= PRESSURE_CRITICAL
        if not before.runs:
            return Standing(runs=False, reason=reason, at_once=at_once, since=before.since, warned_since=warned)
        return Standing(runs=False, reason=reason, at_once=at_once, since=now, warned_since=warned)
    if before.runs:
        return Standing(since=before.since, warned_since=warned)
    if warned is not None:  # not bad enough to stop it, and not well enough to start it
        return Standing(runs=False, reason=before.reason, since=before.since, warned_since=warned)
    well = now if before.well_since is None else before.well_since
    if now - well >= terms.well_seconds:
        return Standing(since=now)
    return Standing(runs=False, reason=before.reason, since=before.since, well_since=well)


def back_in_seconds(standing: Standing, now: float, terms: GuardTerms) -> float | None:
    """How long until it is started again if nothing changes; None = not before something does."""
    if standing.runs or standing.well_since is None:
        return None
    return max(terms.well_seconds - (now - standing.well_since), 0.0)


def _warned_since(before: Standing, reading: Reading, now: float) -> float | None:
    if reading.pressure_level is None or reading.pressure_level < PRESSURE_WARN:
        return None
    return now if before.warned_since is None else before.warned_since


def _reason(reading: Reading, warned: float | None, now: float, terms: GuardTerms) -> str:
    if reading.pressure_level is not None and reading.pressure_level >= PRESSURE_CRITICAL:
        return "memory pressure is critical"
    if reading.on_battery and terms.battery_stops:
        return ON_BATTERY
    if reading.thermal_level is not None and reading.thermal_level >= terms.thermal_level:
        return f"it is hot: thermal pressure is {THERMAL_WORDS[reading.thermal_level]}"
    if warned is not None and now - warned >= terms.warned_seconds:
        return f"memory has been under pressure for {now - warned:.0f} s"
    return ""
