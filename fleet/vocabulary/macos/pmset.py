"""`pmset -g`, `-g custom`, `-g therm`, `-g batt`: power settings and what throttled. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fleet.vocabulary.macos.digits import whole

_SETTING = re.compile(r"^[ \t]+(?P<key>\S+(?: \S+)*?)[ \t]+(?P<value>\S+)(?: \((?P<note>[^)]*)\))?[ \t]*$")
_LIMIT = re.compile(r"^\s*(CPU_[A-Za-z_]+)\s*=\s*([0-9]{1,9})\s*$")
_SOURCE = re.compile(r"Now drawing from '([^']+)'")


@dataclass(frozen=True, kw_only=True)
class PowerSettings:
    """Settings by the heading under which they stand (`AC Power`, `Battery Power`, `Currently in use`, ...).

    Values are pmset's own words; `notes` are the remarks in parentheses (`sleep prevented by powerd`).
    """

    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def value(self, key: str) -> str | None:
        """The setting in use: the one of AC power, else of `Currently in use`. Nodes of a fleet stand on mains."""
        for section in ("AC Power", "Currently in use", "System-wide power settings"):
            if key in self.sections.get(section, {}):
                return self.sections[section][key]
        return None


@dataclass(frozen=True, kw_only=True)
class PowerLimits:
    """`pmset -g therm`. On Apple silicon there is usually nothing but notes: unknown, not "unlimited"."""

    scheduler_limit_ratio: float | None = None
    available_cpus: int | None = None
    speed_limit_ratio: float | None = None


def parse_pmset(text: str) -> PowerSettings:
    """What `pmset -g` or `pmset -g custom` printed."""
    sections: dict[str, dict[str, str]] = {}
    notes: dict[str, str] = {}
    current: dict[str, str] | None = None
    for line in text.splitlines():
        if line and not line[0].isspace():
            heading = line.rstrip()
            current = sections.setdefault(heading[:-1], {}) if heading.endswith(":") else None
            continue
        match = _SETTING.match(line)
        if match and current is not None:
            current[match["key"]] = match["value"]
            if match["note"]:
                notes[match["key"]] = match["note"]
    return PowerSettings(sections=sections, notes=notes)


def parse_therm(text: str) -> PowerLimits:
    """What `pmset -g therm` printed."""
    limits = {match[1]: whole(match[2]) for match in map(_LIMIT.match, text.splitlines()) if match}
    return PowerLimits(
        scheduler_limit_ratio=_ratio(limits.get("CPU_Scheduler_Limit")),
        available_cpus=limits.get("CPU_Available_CPUs"),
        speed_limit_ratio=_ratio(limits.get("CPU_Speed_Limit")),
    )


def parse_power_source(text: str) -> str | None:
    """`AC Power` or `Battery Power`, from `pmset -g batt`."""
    match = _SOURCE.search(text)
    return match[1] if match else None


def _ratio(percent: int | None) -> float | None:
    return None if percent is None else percent / 100
