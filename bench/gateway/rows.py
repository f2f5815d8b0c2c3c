"""What a run of the gateway benchmark found: rows, machine, versions. `bench/results/gateway.json` is one `Results`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

CASES = ("unary_c1", "unary_c64", "agent_92k", "stream_200", "stream_1000", "stream_2000")


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One target in one case; medians when `repetitions` > 1.

    `p50_ms`, `p99_ms`: unary, from request to the whole answer; streams, the age of a chunk from the mock's write to
    the client's read. `cpu_us_per_unit`: user and system time of the target's processes per request, per chunk for
    streams. `rss_mb` (MiB): their resident memory at its highest during the case. `rps`: whole answers a second.
    `failed`: answers that were not a whole 200. The rest is None where it means nothing.
    """

    target: str
    case: str
    rps: float
    p50_ms: float | None
    p99_ms: float | None
    rss_mb: float
    cpu_us_per_unit: float | None
    asked: float
    failed: float
    repetitions: int = 1
    chunks_per_second: float | None = None
    first_chunk_p50_ms: float | None = None
    first_chunk_p99_ms: float | None = None


class Start(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A target that has just started: from exec until its health door answers, and its memory when nothing is asked."""

    target: str
    start_seconds: float
    idle_rss_mb: float
    repetitions: int = 1


class Stalled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Clients that read nothing of an endless stream: what each adds to the target's memory (MiB)."""

    target: str
    readers: float
    rss_mb_per_reader: float
    repetitions: int = 1


_Found = TypeVar("_Found", Row, Start, Stalled)


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `priority` is the command that mock, target and client ran under."""

    date: str
    seconds: float
    machine: dict[str, str]
    versions: dict[str, str]
    priority: str
    rows: tuple[Row, ...] = ()
    starts: tuple[Start, ...] = ()
    stalled: tuple[Stalled, ...] = ()
    schema: int = 1

    def row(self, target: str, case: str) -> Row | None:
        """That row, or None when it was not measured."""
        return next((row for row in self.rows if (row.target, row.case) == (target, case)), None)


def medians(rows: Iterable[Row]) -> tuple[Row, ...]:
    """One row for each target and case, in the order in which they first came."""
    return tuple(_median(same) for same in _grouped(rows, "target", "case"))


def median_starts(starts: Iterable[Start]) -> tuple[Start, ...]:
    """One start for each target."""
    return tuple(_median(same) for same in _grouped(starts, "target"))


def median_stalled(stalled: Iterable[Stalled]) -> tuple[Stalled, ...]:
    """One for each target."""
    return tuple(_median(same) for same in _grouped(stalled, "target"))


def load(path: Path) -> Results:
    """Raises msgspec.MsgspecError and OSError."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def save(path: Path, results: Results) -> None:
    """As JSON that a person can compare."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def _grouped(found: Iterable[_Found], *names: str) -> list[list[_Found]]:
    groups: dict[tuple[str, ...], list[_Found]] = {}
    for one in found:
        groups.setdefault(tuple(getattr(one, name) for name in names), []).append(one)
    return list(groups.values())


def _median(same: list[_Found]) -> _Found:
    """Field by field: of numbers the median, of text the first; None where one has none. Of failures the most."""
    first = same[0]
    changed: dict[str, float | int | None] = {"repetitions": len(same)}
    for name in first.__struct_fields__:
        values = [getattr(one, name) for one in same]
        if name != "repetitions" and all(isinstance(value, float | int) for value in values):
            changed[name] = max(values) if name == "failed" else statistics.median(values)
    return msgspec.structs.replace(first, **changed)
