"""What a run of the poll benchmark found: `bench/results/poll.json` is one `Results`."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One way to poll `nodes` nodes every 5 s, in a client process of its own.

    `cpu_ms_per_poll`: processor time of the client while it polled, all it did meanwhile, over the polls.
    `idle_percent`: of one core, connected and asking nothing; None where
    that is the same as another way's. `p50_ms`, `p99_ms`: of one answer where nodes are asked
    one after the other, of a whole round where they are asked together. `connect_ms_each`: processor time.
    """

    way: str
    nodes: int
    polls: int
    failed: int
    cpu_ms_per_poll: float
    idle_percent: float | None
    p50_ms: float
    p99_ms: float
    connect_ms_each: float
    resident_mb: float
    threads: int
    close_seconds: float


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    date: str
    seconds: float
    machine: dict[str, str]
    versions: dict[str, str]
    every_seconds: float
    rows: tuple[Row, ...] = ()
    schema: int = 1

    def row(self, way: str) -> Row | None:
        """That way's, or None when it was not measured."""
        return next((row for row in self.rows if row.way == way), None)


def load(path: Path) -> Results:
    """Raises msgspec.MsgspecError and OSError."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def save(path: Path, results: Results) -> None:
    """As JSON that a person can compare."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
