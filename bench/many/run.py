"""`make bench-many`: a plan, and a deploy with nothing to do, on 200 light simulated nodes.

    python -m bench.many.run [--rounds N] [--out FILE]

Every node is an SSH server with files, receipts and registrations of its own (`fleet sim up --light`): adopted and
deployed to first, so that the answer "nothing to do" is a real one. Client and nodes share the machine. The
processor time is the laptop's alone. Exit code: 0 all demands are met, 1 not, 2 the run could not be made.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.demand import judge
from bench.deploy.rows import Results, Row, medians, save
from bench.machine import ROOT, fleet_version, machine
from bench.many.demands import DEMANDS, FEW, MANY
from bench.page import demands as demand_table

RESULTS = ROOT / "bench/results/many.json"
_ROUNDS = 3
_PORTION = 25
"""So many nodes are deployed to by one command at first: each runs Python then, all on this machine."""


class Broken(Exception):
    """A command did not do its work; the text is what it said."""


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench.many.run", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=_ROUNDS, metavar="N", help=f"default {_ROUNDS}")
    parser.add_argument(
        "--out", type=Path, default=RESULTS, metavar="FILE", help=f"default {RESULTS.relative_to(ROOT)}"
    )
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what we started ends with us
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fleet-many-") as folder:
        fleet = _Fleet(Path(folder))
        try:
            fleet.make()
            rows = [
                fleet.measure(case, n) for _ in range(asked.rounds) for case in ("noop", "plan") for n in (FEW, MANY)
            ]
        except Broken as error:
            sys.stderr.write(f"{error}\n")
            return 2
        finally:
            fleet.end()
    results = Results(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began),
        machine=machine(),
        versions={"fleet": fleet_version(), "python": sys.version.split()[0]},
        rows=medians(rows),
    )
    save(asked.out, results)
    said = judge(DEMANDS, results)
    print(f"\n{demand_table(said)}\n{asked.out}, {results.seconds:.0f} s", flush=True)
    return 0 if all(verdict.holds for verdict in said) else 1


class _Fleet:
    """Light nodes below one folder."""

    def __init__(self, folder: Path) -> None:
        self._project = folder / "fleet"
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            "HOME": str(folder),
            "FLEET_CACHE": str(folder / "cache"),
            "PYTHONPATH": str(ROOT),
        }

    def make(self) -> None:
        """Nodes that are as they should be, and fleet has seen so. Raises Broken."""
        self._project.mkdir()
        self._run("sim", "up", "--nodes", str(MANY), "--light", "--dir", ".")
        self._run("adopt", "--all", "--yes")
        for first in range(1, MANY + 1, _PORTION):
            last = min(first + _PORTION - 1, MANY)
            self._run("deploy", "--yes", "--on", _names(first, last))
            print(f"mac-{first} to mac-{last}: deployed to", flush=True)
        for n in (FEW, MANY):
            self._run("deploy", "--yes", "--on", _names(1, n))

    def measure(self, case: str, n: int) -> Row:
        """One command over the first `n` nodes. Raises Broken."""
        verb = ("deploy", "--yes") if case == "noop" else ("plan", "--exit-code")
        found = self._timed(*verb, "--on", _names(1, n))
        if f"{n} nodes, nothing to do" not in found["said"]:
            raise Broken(f"{case}, {n} nodes: {found['said']}")
        row = Row(
            tool="fleet",
            case=case,
            n=n,
            rtt_ms=0,
            wall_s_median=found["wall_s"],
            cpu_s_median=found["cpu_s"],
            peak_mb=found["peak_mb"],
        )
        print(
            f"{case:5} {n:4}  {row.wall_s_median:6.2f} s  cpu {row.cpu_s_median:6.3f} s  {row.peak_mb:5.1f} MB",
            flush=True,
        )
        return row

    def end(self) -> None:
        """No process and no port stays."""
        if self._project.is_dir():
            self._run("sim", "down", "--dir", ".", "--purge")

    def _run(self, *words: str) -> None:
        """Raises Broken."""
        self._said(words, self._start((sys.executable, "-m", "fleet", *words)))

    def _timed(self, *words: str) -> dict[str, Any]:
        """What the command cost and said. Raises Broken."""
        done = self._start((sys.executable, "-m", "bench.deploy.timed", sys.executable, "-m", "fleet", *words))
        self._said(words, done)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def _start(self, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self._project, env=self._environment, capture_output=True, text=True, check=False
        )

    def _said(self, words: tuple[str, ...], done: subprocess.CompletedProcess[str]) -> None:
        if done.returncode:
            raise Broken(
                f"fleet {' '.join(words[:2])} ended with {done.returncode}: {(done.stdout + done.stderr)[-900:]}"
            )


def _names(first: int, last: int) -> str:
    """A selector of nodes by number."""
    return ",".join(f"mac-{number}" for number in range(first, last + 1))


if __name__ == "__main__":
    sys.exit(main())
