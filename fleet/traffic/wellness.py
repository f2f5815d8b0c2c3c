"""How much new work a node's health lets an upstream have. Pure.

A sign counts from its first bad sample on. It is over after `clean_samples` good ones in a row, and good is clearly
better than bad (GAP), so that a reading at the edge of a threshold does not send work to and fro. What is unknown says
nothing, nor does a sign of which `stale_seconds` brought no reading: probes and breakers judge who cannot be reached.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from fleet.traffic.config import Wellness
from fleet.traffic.signs import Sign, Signs
from fleet.vocabulary.macos.notifyutil import THERMAL_WORDS
from fleet.vocabulary.units import bytes_text, seconds_text

GAP = 1.25
"""How much better than its threshold a quantity must be to be good again. Levels need no gap: they are steps."""

_MOST_BYTES = 2**60
_PRESSURE_WORDS = {1: "normal", 2: "high", 4: "critical"}


class Standing(StrEnum):
    """`less`: half as many at once, and after its neighbours. `none`: nothing while another can serve."""

    FULL = "full"
    LESS = "less"
    NONE = "none"

    @property
    def grade(self) -> int:
        """0 full, 1 less, 2 none: as a metric says it."""
        return _GRADES.index(self)


_GRADES = tuple(Standing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailment:
    """A sign that is bad, or was and is not proven good yet: `clean` good samples so far, the worst of them `best`.

    `text` is what the last reading said, `seen_at` when it came (monotonic).
    """

    sign: Sign
    standing: Standing
    text: str
    seen_at: float
    clean: int = 0
    best: Standing = Standing.FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class Wellbeing:
    """What is held of a node for one upstream. `ailments`: the worst first. `known`: a fresh sample was judged.

    `note` says, where nothing is known, why.
    """

    ailments: tuple[Ailment, ...] = ()
    sampled_at_seconds: float | None = None
    known: bool = False
    note: str = ""

    @property
    def standing(self) -> Standing:
        """That of the worst ailment."""
        return self.ailments[0].standing if self.ailments else Standing.FULL

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not full, for people."""
        return tuple(one.text for one in self.ailments)

    @property
    def word(self) -> str:
        """The sign that weighs most; "" = none does."""
        return self.ailments[0].sign.value if self.ailments else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One sign in one sample. `strict` is what the thresholds say, `lax` what they say with the gap: never better."""

    sign: Sign
    strict: Standing
    lax: Standing
    text: str


def judge(before: Wellbeing, signs: Signs | None, *, settings: Wellness, now: float) -> Wellbeing:
    """What to hold after `signs` (None = nothing was ever heard). The same sample again changes nothing but its age."""
    if signs is None:
        return Wellbeing()
    age = now - signs.heard_at
    if age > settings.stale_seconds:
        old = f"its last sample came {seconds_text(age)} ago"
        return Wellbeing(sampled_at_seconds=signs.sampled_at_seconds, note=old)
    ailments = {one.sign: one for one in before.ailments}
    if signs.sampled_at_seconds != before.sampled_at_seconds:
        for reading in _readings(signs, settings):
            held = _held(ailments.pop(reading.sign, None), reading, signs.heard_at, settings.clean_samples)
            if held is not None:
                ailments[reading.sign] = held
    kept = [one for one in ailments.values() if now - one.seen_at <= settings.stale_seconds]
    order = tuple(Sign)
    kept.sort(key=lambda one: (-one.standing.grade, order.index(one.sign)))
    return Wellbeing(ailments=tuple(kept), sampled_at_seconds=signs.sampled_at_seconds, known=True)


def _held(before: Ailment | None, reading: _Reading, heard_at: float, clean_samples: int) -> Ailment | None:
    """One sign after one reading of it."""
    fresh = Ailment(sign=reading.sign, standing=reading.strict, text=reading.text, seen_at=heard_at)
    if before is None:
        return fresh if reading.strict is not Standing.FULL else None
    if reading.strict.grade >= before.standing.grade:
        return fresh
    if reading.lax.grade >= before.standing.grade:
        return replace(fresh, standing=before.standing)
    clean, best = before.clean + 1, max(before.best, reading.lax, key=lambda one: one.grade)
    if clean < clean_samples:
        return replace(fresh, standing=before.standing, clean=clean, best=best)
    return replace(fresh, standing=best) if best is not Standing.FULL else None


def _readings(signs: Signs, settings: Wellness) -> list[_Reading]:
    """Every sign that is known."""
    one = settings
    found = [
        _quarantine(signs),
        _low(
            Sign.HEADROOM,
            signs.headroom_bytes,
            (one.headroom_less_bytes, one.headroom_none_bytes),
            f"{bytes_text(max(0, signs.headroom_bytes or 0))} left under the GPU wired limit",
        ),
        _high(
            Sign.SWAPOUT,
            signs.swapout_bytes_per_second,
            (one.swapout_less_bytes_per_second, one.swapout_none_bytes_per_second),
            f"swapping out {bytes_text(int(min(signs.swapout_bytes_per_second or 0, _MOST_BYTES)))}/s",
        ),
        _low(
            Sign.PACE,
            signs.pace_ratio,
            (one.pace_less_ratio, one.pace_none_ratio),
            f"answers at {signs.pace_ratio or 0:.0%} of its usual pace",
        ),
        _high(
            Sign.PRESSURE,
            signs.pressure_level,
            (one.pressure_less_level, one.pressure_none_level),
            f"memory pressure is {_PRESSURE_WORDS.get(signs.pressure_level or 0, str(signs.pressure_level))}",
            gap=1.0,
        ),
        _high(
            Sign.THERMAL,
            signs.thermal_level,
            (one.thermal_less_level, one.thermal_none_level),
            f"thermal pressure is {THERMAL_WORDS[min(max(signs.thermal_level or 0, 0), len(THERMAL_WORDS) - 1)]}",
            gap=1.0,
        ),
    ]
    return [reading for reading in found if reading is not None]


def _quarantine(signs: Signs) -> _Reading | None:
    if signs.quarantined is None:
        return None
    standing = Standing.NONE if signs.quarantined else Standing.FULL
    why = f": {signs.quarantined_for}" if signs.quarantined_for else ""
    return _Reading(sign=Sign.QUARANTINE, strict=standing, lax=standing, text=f"its model is quarantined{why}")


def _low(sign: Sign, value: float | None, limits: tuple[float | None, float | None], text: str) -> _Reading | None:
    """A quantity of which little is bad: below a limit. Good again is GAP times the limit."""
    if value is None:
        return None
    less, none = limits
    strict = _graded(less=less is not None and value < less, none=none is not None and value < none)
    lax = _graded(less=less is not None and value < less * GAP, none=none is not None and value < none * GAP)
    return _Reading(sign=sign, strict=strict, lax=lax, text=text)


def _high(
    sign: Sign, value: float | None, limits: tuple[float | None, float | None], text: str, *, gap: float = GAP
) -> _Reading | None:
    """A quantity of which much is bad: a limit or more. Good again is below the limit divided by the gap."""
    if value is None:
        return None
    less, none = limits
    strict = _graded(less=less is not None and value >= less, none=none is not None and value >= none)
    lax = _graded(less=less is not None and value >= less / gap, none=none is not None and value >= none / gap)
    return _Reading(sign=sign, strict=strict, lax=lax, text=text)


def _graded(*, less: bool, none: bool) -> Standing:
    return Standing.NONE if none else Standing.LESS if less else Standing.FULL
