"""The columns of the history: what of a snapshot is remembered, and what a minute of it is. Pure.

Columns are added and never change their meaning: an older file gets the new ones, an older agent passes them over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from fleet.vocabulary.contracts.snapshot import Snapshot

Value = float | int | None
_MOST = 2**63


class Kind(StrEnum):
    """What becomes of a column's readings of one minute: mean, least and most · the highest · the last."""

    GAUGE = "gauge"
    LEVEL = "level"
    COUNTER = "counter"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One number of a sample."""

    name: str
    kind: Kind
    of: Callable[[Snapshot], Value]


def _gauge(name: str, of: Callable[[Snapshot], Value]) -> Column:
    return Column(name=name, kind=Kind.GAUGE, of=of)


def _level(name: str, of: Callable[[Snapshot], Value]) -> Column:
    return Column(name=name, kind=Kind.LEVEL, of=of)


def _counter(name: str, of: Callable[[Snapshot], Value]) -> Column:
    return Column(name=name, kind=Kind.COUNTER, of=of)


def _whole_sum(values: Iterable[int | None]) -> int | None:
    """The sum; unknown when one of them is, or when there are none."""
    known = list(values)
    return None if not known or None in known else sum(value or 0 for value in known)


def _least(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)


COLUMNS: tuple[Column, ...] = (
    _gauge("cpu_ratio", lambda s: s.cpu_ratio),
    _gauge("gpu_ratio", lambda s: s.gpu_ratio),
    _gauge("load_1m", lambda s: s.load_1m),
    _gauge("memory_wired_bytes", lambda s: s.memory.wired_bytes),
    _gauge("memory_compressed_bytes", lambda s: s.memory.compressed_bytes),
    _gauge("memory_app_bytes", lambda s: s.memory.app_bytes),
    _gauge("memory_cached_bytes", lambda s: s.memory.cached_bytes),
    _gauge("memory_free_bytes", lambda s: s.memory.free_bytes),
    _gauge("memory_free_ratio", lambda s: s.memory.free_ratio),
    _gauge("wired_headroom_bytes", lambda s: s.memory.wired_headroom_bytes),
    _level("memory_pressure_level", lambda s: s.memory.pressure_level),
    _level("thermal_pressure_level", lambda s: s.thermal.pressure_level),
    _gauge("swap_used_bytes", lambda s: s.swap.used_bytes),
    _counter("swapins_bytes_total", lambda s: s.swap.swapins_bytes_total),
    _counter("swapouts_bytes_total", lambda s: s.swap.swapouts_bytes_total),
    _gauge("swapout_bytes_per_second", lambda s: s.swap.swapout_bytes_per_second),
    _counter("decompressions_total", lambda s: s.memory.decompressions_total),
    _gauge("disk_free_bytes", lambda s: _least(disk.free_bytes for disk in s.disks)),
    _gauge("services_footprint_bytes", lambda s: _whole_sum(each.footprint_bytes for each in s.services if each.up)),
    _gauge("services_down", lambda s: _whole_sum(None if each.up is None else not each.up for each in s.services)),
    _gauge("sidecars_ready", lambda s: _whole_sum(car.ready for car in s.sidecars)),
    _counter("boot_timestamp_seconds", lambda s: s.boot_time_seconds),
)


@dataclass(frozen=True, kw_only=True)
class Field:
    """What a series may be asked for: `part` is `mean`, `min` or `max` of a gauge, `""` of another column."""

    name: str
    column: str
    kind: Kind
    part: str = ""


def _fields_of(column: Column) -> tuple[Field, ...]:
    if column.kind is not Kind.GAUGE:
        return (Field(name=column.name, column=column.name, kind=column.kind),)
    return (
        Field(name=column.name, column=column.name, kind=Kind.GAUGE, part="mean"),
        Field(name=f"{column.name}.min", column=column.name, kind=Kind.GAUGE, part="min"),
        Field(name=f"{column.name}.max", column=column.name, kind=Kind.GAUGE, part="max"),
    )


FIELDS: Mapping[str, Field] = MappingProxyType(
    {field.name: field for column in COLUMNS for field in _fields_of(column)}
)
"""By name."""


def row_of(snapshot: Snapshot) -> tuple[Value, ...]:
    """The values of a sample, in the order of COLUMNS."""
    return tuple(_kept(column.of(snapshot)) for column in COLUMNS)


def _kept(value: Value) -> Value:
    """A number that SQLite holds; anything larger is unknown."""
    return None if value is None or not abs(value) < _MOST else value + 0
