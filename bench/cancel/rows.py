"""What a run of the cancel benchmark found: `bench/results/cancel.json` is one `Results`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

MOST_MS = 50.0


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """From the client's close until its leaving arrived (bench/cancel/phases.py says where), over `repetitions`.

    One that never arrived counts as `lost`; then the row fails whatever the others took.
    """

    surface: str
    mode: str
    phase: str
    p50_ms: float
    p99_ms: float
    max_ms: float
    repetitions: int
    lost: int = 0

    @property
    def holds(self) -> bool:
        """Whether the issue's demand is met."""
        return self.lost == 0 and self.repetitions > 0 and self.max_ms < MOST_MS


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `priority`: what bench and gateways ran under. `most_ms`: the demand."""

    date: str
    seconds: float
    machine: dict[str, str]
    version: str
    priority: str
    rows: tuple[Row, ...]
    most_ms: float = MOST_MS
    schema: int = 1


def row_of(surface: str, mode: str, phase: str, seconds: Sequence[float], *, lost: int = 0) -> Row:
    """The row of some repetitions. The 99th percentile of fewer than 100 is their longest."""
    sorted_ms = sorted(round(one * 1000, 3) for one in seconds) or [0.0]
    rank = min(len(sorted_ms) - 1, len(sorted_ms) * 99 // 100)
    return Row(
        surface=surface,
        mode=mode,
        phase=phase,
        p50_ms=statistics.median(sorted_ms),
        p99_ms=sorted_ms[rank],
        max_ms=sorted_ms[-1],
        repetitions=len(seconds),
        lost=lost,
    )


def save(path: Path, results: Results) -> None:
    """As JSON that a person can compare."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def table(rows: Sequence[Row]) -> str:
    """For a terminal."""
    lines = [f"{'surface':<12} {'mode':<9} {'phase':<18} {'p50':>8} {'p99':>8} {'max':>8}  ms"]
    for row in rows:
        verdict = "" if row.holds else f"  FAIL{f' ({row.lost} never arrived)' if row.lost else ''}"
        lines.append(
            f"{row.surface:<12} {row.mode:<9} {row.phase:<18} {row.p50_ms:8.2f} {row.p99_ms:8.2f} {row.max_ms:8.2f}"
            + verdict
        )
    return "\n".join(lines)
