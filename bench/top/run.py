"""`make bench-top`: the screen of `fleet top` in a terminal, beside a DataTable that is fed alike, in one run.

    python -m bench.top.run [--only CASE,...] [--seconds N] [--out FILE]

CASE is SCREEN:FEED:NODES, such as top:polled:1000. `polled`: the whole of `fleet top` over SSH, up to 50 nodes each by
itself, more through a front, looks every 5 s as it does, in which 83 % of the cells are others (30 % each second).
`alone`: views that are there, 30 % of whose cells move at 1 Hz. What plays nodes and terminal is on
another core and not in the figures. As root both go before the machine's other work (`chrt`).
Exit code: 0 all demands are met, 1 not, 2 it could not be made.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.demand import judge
from bench.gateway.kit import BENCH, NotReady
from bench.gateway.processes import cores
from bench.machine import ROOT, fleet_version, machine
from bench.page import demands as demand_table
from bench.top.demands import DEMANDS
from bench.top.measure import measure
from bench.top.rows import Results, Row, joined, load, save
from bench.top.terminal import Ended

RESULTS = ROOT / "bench/results/top.json"
PART_RESULTS = BENCH / "top-part.json"
_FEEDS, _SIZES, _SCREENS = ("alone", "polled"), (50, 500, 1000), ("top", "table")
CASES = tuple(
    f"{screen}:{feed}:{nodes}"
    for feed in _FEEDS
    for nodes in _SIZES
    for screen in _SCREENS
    if (screen, nodes) != ("table", 50)  # nothing is asked of it
)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench.top.run", description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="CASE,...", help="a part of it, which joins the rows that FILE has")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="N", help="of each state, a multiple of 5")
    parser.add_argument("--out", type=Path, metavar="FILE")
    asked = parser.parse_args()
    out = asked.out or (PART_RESULTS if asked.only else RESULTS)
    placed = cores()
    os.sched_setaffinity(0, {placed.load})
    if placed.precedence:
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))
    before = load(out) if asked.only and out.exists() else None
    began, rows = time.monotonic(), list[Row]()
    try:
        for case in asked.only.split(",") if asked.only else CASES:
            screen, feed, nodes = case.split(":")
            rows.append(measure(screen, feed, int(nodes), seconds=asked.seconds, placed=placed))
            results = _results(rows, before, seconds=round(time.monotonic() - began))
            save(out, results)
            print(rows[-1], flush=True)
    except (Ended, NotReady, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    said = judge(DEMANDS, results)
    print(f"\n{demand_table(said)}\n{out}, {results.seconds:.0f} s", flush=True)
    return 0 if all(verdict.holds for verdict in said) else 1


def _results(rows: Sequence[Row], before: Results | None, *, seconds: float) -> Results:
    return Results(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds=seconds + (before.seconds if before else 0),
        machine=machine(),
        versions={"fleet": fleet_version(), "python": sys.version.split()[0], "Textual": version("textual")},
        rows=joined(before.rows if before else (), rows),
    )


if __name__ == "__main__":
    sys.exit(main())
