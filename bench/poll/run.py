"""`make bench-poll`: 100 nodes asked every 5 s, by fleet's poller, by bare HTTP and by paramiko as it comes.

    python -m bench.poll.run [--nodes N] [--seconds N] [--idle N] [--only WAY,...] [--out FILE]

Each way is a process of its own, one after the other, against the same sshd and the same agents; client, sshd and
agents share one core. Exit code: 0 all demands are met, 1 not, 2 the run could not be made.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.agent import kit
from bench.demand import judge
from bench.gateway.kit import BENCH, NotReady
from bench.gateway.processes import allow_many_files
from bench.machine import ROOT, fleet_version, machine
from bench.page import demands as demand_table
from bench.page import number
from bench.poll.client import EVERY_SECONDS, WAYS
from bench.poll.demands import DEMANDS
from bench.poll.rows import Results, Row, save
from bench.poll.scene import playing
from bench.poll.ways import Scene

RESULTS = ROOT / "bench/results/poll.json"
PART_RESULTS = BENCH / "poll-part.json"
_IDLE_SECONDS = 35.0
"""Longer than two keepalives: fleet's connections wake for nothing else."""


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench.poll.run", description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=100, metavar="N", help="default 100")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="N", help="of polling, a way; default 20")
    parser.add_argument(
        "--idle", type=float, default=_IDLE_SECONDS, metavar="N", help=f"of asking nothing; default {_IDLE_SECONDS:g}"
    )
    parser.add_argument("--only", metavar="WAY,...", help=f"of {', '.join(WAYS)}")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default {RESULTS.relative_to(ROOT)}")
    asked = parser.parse_args()
    ways = tuple(asked.only.split(",")) if asked.only else WAYS
    out = asked.out or (PART_RESULTS if asked.only else RESULTS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what we started ends with us
    before = machine()
    began = time.monotonic()
    try:
        kit.prepare(peers=False)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        allow_many_files()
        with playing(BENCH / "run/poll", nodes=asked.nodes) as scene:
            rows = tuple(_row(way, scene, seconds=asked.seconds, idle_seconds=asked.idle) for way in ways)
    except (NotReady, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    results = Results(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began),
        machine=before,
        versions={"fleet": fleet_version(), "python": sys.version.split()[0], "paramiko": version("paramiko")},
        every_seconds=EVERY_SECONDS,
        rows=rows,
    )
    save(out, results)
    said = judge(DEMANDS, results)
    print(f"\n{demand_table(said)}\n{out}, {results.seconds:.0f} s", flush=True)
    return 0 if all(verdict.holds for verdict in said) else 1


def _row(way: str, scene: Scene, *, seconds: float, idle_seconds: float) -> Row:
    folder = Path(scene.folder)
    told, found = folder / "scene.json", folder / f"{way}.json"
    told.write_bytes(msgspec.json.encode(scene))
    words = (str(told), way, str(seconds), str(idle_seconds), str(found))
    subprocess.run([sys.executable, "-m", "bench.poll.client", *words], cwd=ROOT, check=True)
    row = msgspec.json.decode(found.read_bytes(), type=Row)
    print(f"{row.way:16} {row.cpu_ms_per_poll:6.3f} ms a poll, idle {number(row.idle_percent, 3)} %", flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
