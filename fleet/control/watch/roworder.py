"""In which order rows are shown. Pure: sorted by what a reading is, not by how it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from fleet.control.watch.rowfilter import severity
from fleet.control.watch.view import NodeRow
from fleet.vocabulary.names import Freshness, Health

_FRESH = {freshness: number for number, freshness in enumerate(Freshness)}
_HEALTH = {Health.OK: 0, Health.UNKNOWN: 1, Health.WARN: 2, Health.CRITICAL: 3}
_PARTS = re.compile(r"(\d+)")

Reading = float | str | None
READINGS: Mapping[str, Callable[[NodeRow], Reading]] = MappingProxyType(
    {
        "state": lambda row: float(-severity(row)),
        "model": lambda row: row.models[0].name if row.models else None,
        "pace": lambda row: row.tokens_per_second,
        "ttft": lambda row: row.first_token_seconds,
        "queue": lambda row: row.in_flight,
        "headroom": lambda row: row.wired_headroom_bytes,
        "swap": lambda row: row.swap_used_bytes,
        "press": lambda row: None if row.pressure_level is None else -row.pressure_level,
        "therm": lambda row: None if row.thermal_level is None else -row.thermal_level,
        "up": lambda row: None if row.boot_time_seconds is None else -row.boot_time_seconds,
        "age": lambda row: row.age_seconds,
    }
)
"""What a column is sorted by, its first direction: what a person looks for comes first."""


@dataclass(frozen=True)
class Order:
    """By which column, and whether the other way round. By default what is wrong first, then by name."""

    by: str = "state"
    turned: bool = False


@lru_cache(maxsize=4096)
def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """`mini-2` before `mini-10`."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in _PARTS.split(name) if part)


def ordered(rows: Iterable[NodeRow], order: Order) -> list[NodeRow]:
    """The rows as they are shown. Unknown readings come last either way; equals in the order of their names."""
    named = sorted(rows, key=lambda row: natural(row.node), reverse=order.turned and order.by == "node")
    if order.by == "node":
        return named
    if order.by == "state":
        return sorted(named, key=_urgency, reverse=order.turned)
    read = READINGS[order.by]
    known = [(found, row) for row in named if (found := read(row)) is not None]
    known.sort(key=lambda pair: pair[0], reverse=order.turned)  # type: ignore[arg-type,return-value,unused-ignore]
    return [row for _, row in known] + [row for row in named if read(row) is None]


def _urgency(row: NodeRow) -> tuple[int, int, int]:
    return (-severity(row), -_HEALTH[row.health], _FRESH[row.freshness])
