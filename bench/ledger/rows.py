"""What a run of the ledger's benchmark found: `bench/results/ledger.json` is one `Results`."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One case in a process of its own. `cpu_us_per_pair`: processor time of all its threads, the load's included.

    Waits are of `reserve`, from the call until its coroutine goes on, microseconds. `rows_per_commit` on average.
    """

    case: str
    pairs: int
    pairs_per_second: float
    cpu_us_per_pair: float
    wait_p50_us: float | None = None
    wait_p90_us: float | None = None
    wait_p99_us: float | None = None
    rows_per_commit: float | None = None


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Of several rounds the median of each figure."""

    date: str
    seconds: float
    machine: dict[str, str]
    versions: dict[str, str]
    rounds: int
    rows: tuple[Row, ...] = ()
    schema: int = 1

    def row(self, case: str) -> Row | None:
        """That case's, or None when it was not measured."""
        return next((row for row in self.rows if row.case == case), None)


def load(path: Path) -> Results:
    """Raises msgspec.MsgspecError and OSError."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def save(path: Path, results: Results) -> None:
    """As JSON that a person can compare."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
