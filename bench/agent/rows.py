"""What a run of the agent benchmark found: `bench/results/agent.json` is one `Results`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One agent, scraped every 5 s over a kept connection, means over `repetitions`.

    `cpu_percent`: of one core, all of its processes and the children they waited for. `resident_mb` (MiB): all of its
    processes at the end. `p50_ms`, `p99_ms`: from request to the whole page. `forks`: new processes in
    `watched_seconds` under strace, None where that was not looked at. `start_seconds`: from exec to the first page.
    """

    agent: str
    cpu_percent: float
    resident_mb: float
    own_mb: float
    p50_ms: float
    p99_ms: float
    page_kb: float
    scrapes: int
    failed: int
    processes: int
    start_seconds: float
    forks: int | None = None
    threads_made: int | None = None
    watched_seconds: float | None = None
    repetitions: int = 1


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `every_seconds`: the scraper's pace; `other_processes`: idle ones beside the agents."""

    date: str
    seconds: float
    machine: dict[str, str]
    versions: dict[str, str]
    every_seconds: float
    other_processes: int
    rows: tuple[Row, ...] = ()
    schema: int = 1

    def row(self, agent: str) -> Row | None:
        """That agent's, or None when it was not measured."""
        return next((row for row in self.rows if row.agent == agent), None)


def means(rows: Iterable[Row]) -> tuple[Row, ...]:
    """One row for each agent, in the order in which they first came. The worst of p99 and of failures is kept."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.agent, []).append(row)
    return tuple(_mean(same) for same in groups.values())


def load(path: Path) -> Results:
    """Raises msgspec.MsgspecError and OSError."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def save(path: Path, results: Results) -> None:
    """As JSON that a person can compare."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def _mean(same: list[Row]) -> Row:
    kept = ("cpu_percent", "resident_mb", "own_mb", "p50_ms", "page_kb", "start_seconds")
    mean = {name: statistics.fmean(getattr(row, name) for row in same) for name in kept}
    return msgspec.structs.replace(
        same[0],
        **mean,
        p99_ms=max(row.p99_ms for row in same),
        scrapes=sum(row.scrapes for row in same),
        failed=sum(row.failed for row in same),
        repetitions=len(same),
    )
