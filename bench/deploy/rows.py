"""What a run of the deploy benchmark found: `bench/results/deploy.json` is one `Results`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tool in one case, medians over `repetitions`. The whole command, from its process' start to its end.

    `case`: first (empty nodes), noop, change (one file of each node differs), true (`ssh NODE true`, nothing more).
    `peak_mb`: its largest process. `round_trips`: what 20 ms add to the wall time, by 20 ms, one node, each by
    its least disturbed run; None where the near one was slower all the same (a busy machine). `connections`
    and `sessions`: per node, as sshd saw them.
    """

    tool: str
    case: str
    n: int
    rtt_ms: int
    wall_s_median: float
    cpu_s_median: float
    peak_mb: float
    round_trips: float | None = None
    connections: float | None = None
    sessions: float | None = None
    wall_s_least: float | None = None
    wall_s_most: float | None = None
    repetitions: int = 1


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    date: str
    seconds: float
    machine: dict[str, str]
    versions: dict[str, str]
    rows: tuple[Row, ...] = ()
    schema: int = 1

    def row(self, tool: str, case: str, n: int, rtt_ms: int) -> Row | None:
        """That cell, or None when it was not measured."""
        wanted = (tool, case, n, rtt_ms)
        return next((row for row in self.rows if (row.tool, row.case, row.n, row.rtt_ms) == wanted), None)


def medians(rows: Iterable[Row]) -> tuple[Row, ...]:
    """One row for each cell, in the order in which they first came, with round trips."""
    groups: dict[tuple[str, str, int, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.tool, row.case, row.n, row.rtt_ms), []).append(row)
    found = {key: _median(same) for key, same in groups.items()}
    return tuple(_with_round_trips(row, found.get((row.tool, row.case, row.n, 0))) for row in found.values())


def load(path: Path) -> Results:
    """Raises msgspec.MsgspecError and OSError."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def save(path: Path, results: Results) -> None:
    """As JSON that a person can compare."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def _median(same: list[Row]) -> Row:
    walls = [row.wall_s_median for row in same]
    return msgspec.structs.replace(
        same[0],
        wall_s_median=round(statistics.median(walls), 3),
        wall_s_least=round(min(walls), 3),
        wall_s_most=round(max(walls), 3),
        cpu_s_median=round(statistics.median(row.cpu_s_median for row in same), 3),
        peak_mb=round(max(row.peak_mb for row in same), 1),
        connections=max((row.connections for row in same if row.connections is not None), default=None),
        sessions=max((row.sessions for row in same if row.sessions is not None), default=None),
        repetitions=len(same),
    )


def _with_round_trips(row: Row, near: Row | None) -> Row:
    if near is None or not row.rtt_ms or row.n != 1:
        return row
    far_s, near_s = row.wall_s_least or row.wall_s_median, near.wall_s_least or near.wall_s_median
    trips = (far_s - near_s) / (row.rtt_ms / 1000)
    return msgspec.structs.replace(row, round_trips=round(trips, 1) if trips > 0 else None)
