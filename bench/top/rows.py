"""What a run of the screen's benchmark found: `bench/results/top.json` is one `Results`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One screen over so many nodes. CPU in percent of one core, output in kB a second: while cells move, and not.

    `feed`: `polled` (over SSH, beyond 50 nodes through a front; CPU and memory are of all of it) or `alone` (views that
    are there). `key_*` is from the press of cursor down until the cursor is seen on the next row, `filter_*` from a
    press in the filter until its first row is, both while cells move. `lost` presses were never seen.
    """

    screen: str
    feed: str
    nodes: int
    cpu_moving_percent: float
    cpu_idle_percent: float
    output_moving_kb: float
    key_p50_ms: float | None = None
    key_p95_ms: float | None = None
    key_max_ms: float | None = None
    filter_p50_ms: float | None = None
    filter_p95_ms: float | None = None
    filter_max_ms: float | None = None
    presses: int = 0
    lost: int = 0
    resident_mb: float | None = None
    every_screen_mb: float | None = None


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    date: str
    seconds: float
    machine: dict[str, str]
    versions: dict[str, str]
    rows: tuple[Row, ...] = ()
    schema: int = 1

    def row(self, screen: str, feed: str, nodes: int) -> Row | None:
        """That one, or None when it was not measured."""
        wanted = (screen, feed, nodes)
        return next((row for row in self.rows if (row.screen, row.feed, row.nodes) == wanted), None)


def joined(before: Iterable[Row], fresh: Iterable[Row]) -> tuple[Row, ...]:
    """All of them; of two of one case the fresh one."""
    found = {(row.feed, row.nodes, row.screen): row for row in (*before, *fresh)}
    return tuple(found.values())


def load(path: Path) -> Results:
    """Raises msgspec.MsgspecError and OSError."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def save(path: Path, results: Results) -> None:
    """As JSON that a person can compare."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
