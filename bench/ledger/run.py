"""`make bench-ledger`: reserve and settle, through the real ledger in a loop as the gateway's, and by SQLite alone.

    python -m bench.ledger.run [--seconds N] [--rounds N] [--only CASE,...] [--out FILE]

Each case is a process of its own, one after the other, with precedence over the machine's other work where that is
allowed; the file is on the disk of the checkout. Exit code: 0 all demands are met, 1 not, 2 it could not be made.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from bench.demand import judge
from bench.gateway.kit import BENCH
from bench.gateway.processes import cores
from bench.ledger.case import CASES
from bench.ledger.demands import DEMANDS
from bench.ledger.rows import Results, Row, save
from bench.machine import ROOT, fleet_version, machine
from bench.page import demands as demand_table

RESULTS = ROOT / "bench/results/ledger.json"
PART_RESULTS = BENCH / "ledger-part.json"


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench.ledger.run", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, metavar="N", help="of a case; default 3")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="the median counts; default 3")
    parser.add_argument("--only", metavar="CASE,...", help=f"of {', '.join(CASES)}")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default {RESULTS.relative_to(ROOT)}")
    asked = parser.parse_args()
    cases = tuple(asked.only.split(",")) if asked.only else CASES
    out = asked.out or (PART_RESULTS if asked.only else RESULTS)
    began = time.monotonic()
    found: dict[str, list[Row]] = {case: [] for case in cases}
    try:
        for _ in range(asked.rounds):
            for case in cases:
                found[case].append(_row(case, asked.seconds))
                print(found[case][-1], flush=True)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    results = Results(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began),
        machine=machine(),
        versions={"fleet": fleet_version(), "python": sys.version.split()[0], "SQLite": sqlite3.sqlite_version},
        rounds=asked.rounds,
        rows=tuple(_median(rows) for rows in found.values()),
    )
    save(out, results)
    said = judge(DEMANDS, results)
    print(f"\n{demand_table(said)}\n{out}, {results.seconds:.0f} s", flush=True)
    return 0 if all(verdict.holds for verdict in said) else 1


def _row(case: str, seconds: float) -> Row:
    BENCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BENCH) as folder:
        command = [*cores().precedence, sys.executable, "-m", "bench.ledger.case", case, folder, str(seconds)]
        said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    return msgspec.json.decode(said, type=Row)


def _median(rows: list[Row]) -> Row:
    """Each figure by itself."""
    figures = {}
    for name in Row.__struct_fields__[1:]:
        values = [getattr(row, name) for row in rows if getattr(row, name) is not None]
        figures[name] = type(values[0])(statistics.median(values)) if values else None
    return Row(case=rows[0].case, **figures)


if __name__ == "__main__":
    sys.exit(main())
