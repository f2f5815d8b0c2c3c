"""`make bench-agent`: fleet's agent beside node_exporter and glances, side by side; the demands checked.

    python -m bench.agent.run [--quick] [--seconds N] [--rounds N] [--out FILE]

A round starts every agent afresh, lets it settle and scrapes each every 5 s; means count. Then all of them run once
more under strace, fleet's with a slow tier that never comes: what forks then is the fast tier. `--quick`: fleet alone,
one minute. Exit code: 0 all demands are met, 1 not, 2 the run could not be made.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.agent import kit
from bench.agent.demands import DEMANDS
from bench.agent.measure import Broken, measure, watch_forks
from bench.agent.rows import Results, Row, means, save
from bench.agent.targets import targets
from bench.demand import judge
from bench.gateway.kit import BENCH, NotReady
from bench.machine import ROOT, fleet_version, machine
from bench.page import demands as demand_table

RESULTS = ROOT / "bench/results/agent.json"
QUICK_RESULTS = BENCH / "agent-quick.json"
_EVERY_SECONDS = 5.0
_SLOW_SECONDS = 30.0
_NEVER_SECONDS = 86400.0
_STRACE_SECONDS = 30.0
_OTHERS = 300
_SERVICES = 3


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench.agent.run", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fleet alone, one minute; no demand on others is met")
    parser.add_argument("--seconds", type=float, metavar="N", help="of a round; default 180, quick 60")
    parser.add_argument("--rounds", type=int, metavar="N", help="default 2, quick 1")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default {RESULTS.relative_to(ROOT)}")
    asked = parser.parse_args()
    seconds = asked.seconds or (60.0 if asked.quick else 180.0)
    rounds = asked.rounds or (1 if asked.quick else 2)
    out = asked.out or (QUICK_RESULTS if asked.quick else RESULTS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what we started ends with us
    began = time.monotonic()
    try:
        kit.prepare(peers=not asked.quick)
        rows = _rounds(rounds, seconds=seconds, peers=not asked.quick)
    except (NotReady, Broken) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    results = Results(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began),
        machine=machine(),
        versions={"fleet": fleet_version(), **kit.versions(peers=not asked.quick)},
        every_seconds=_EVERY_SECONDS,
        other_processes=_OTHERS,
        rows=rows,
    )
    save(out, results)
    said = judge(DEMANDS, results)
    print(f"\n{demand_table(said)}\n{out}, {results.seconds:.0f} s", flush=True)
    return 0 if all(verdict.holds for verdict in said) else 1


def _rounds(rounds: int, *, seconds: float, peers: bool) -> tuple[Row, ...]:
    stage = BENCH / "run/agent"
    shutil.rmtree(stage, ignore_errors=True)
    found: list[Row] = []
    with _others(_OTHERS) as others:
        for number in range(rounds):
            compared = targets(stage / str(number), others[:_SERVICES], slow_seconds=_SLOW_SECONDS, peers=peers)
            rows = measure(compared, stage / str(number), seconds=seconds, every_seconds=_EVERY_SECONDS)
            for row in rows:
                print(
                    f"{row.agent:14} {row.cpu_percent:7.3f} % {row.resident_mb:6.1f} MB {row.p50_ms:7.2f} ms",
                    flush=True,
                )
            found += rows
        watched = stage / "strace"
        compared = targets(watched, others[:_SERVICES], slow_seconds=_NEVER_SECONDS, peers=peers)
        forks = watch_forks(compared, watched, seconds=_STRACE_SECONDS, every_seconds=_EVERY_SECONDS)
    return tuple(
        msgspec.structs.replace(
            row,
            forks=forks[row.agent].forks,
            threads_made=forks[row.agent].threads_made,
            watched_seconds=forks[row.agent].watched_seconds,
        )
        for row in means(found)
    )


@contextlib.contextmanager
def _others(count: int) -> Iterator[list[int]]:
    """As many idle processes as a machine has: who lists processes pays for each."""
    sleepers = [subprocess.Popen(["sleep", "86400"]) for _ in range(count)]
    try:
        yield [sleeper.pid for sleeper in sleepers]
    finally:
        for sleeper in sleepers:
            sleeper.kill()
        for sleeper in sleepers:
            sleeper.wait()


if __name__ == "__main__":
    sys.exit(main())
