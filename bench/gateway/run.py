"""`make bench-gateway`: fleet's gateway beside its peers, in one run, on one core each; the demands checked.

    python -m bench.gateway.run [--quick] [--only TARGET,...] [--rounds N] [--out FILE]

A round starts each target afresh and runs every case; there are three, and medians count. `--quick` is one round of
direct, p_aiohttp and fleet, for developers. Exit code: 0 all demands are met, 1 not, 2 the run could not be made.
"""

from __future__ import annotations

import argparse
import datetime as dt
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.gateway import kit, processes
from bench.gateway.demands import Verdict, verdicts
from bench.gateway.measure import Broken, measure, started
from bench.gateway.rows import CASES, Results, Row, Stalled, Start, median_stalled, median_starts, medians, save
from bench.gateway.stalled import stall
from bench.gateway.targets import new_stage, targets
from bench.machine import fleet_version, machine

RESULTS = kit.ROOT / "bench/results/gateway.json"
QUICK_RESULTS = kit.BENCH / "gateway-quick.json"
_ROUNDS = 3
_BREATH_SECONDS = 0.3


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench.gateway.run", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of direct, p_aiohttp and fleet")
    parser.add_argument("--only", metavar="TARGET,...", help="these targets only; the demands on others are not met")
    parser.add_argument("--cases", metavar="CASE,...", help="these cases only")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default {_ROUNDS}")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default {RESULTS.relative_to(kit.ROOT)}")
    asked = parser.parse_args()
    peers = not asked.quick
    partial = bool(asked.only or asked.cases or asked.quick)
    out = asked.out or (QUICK_RESULTS if partial else RESULTS)
    only = frozenset(asked.only.split(",")) if asked.only else None
    cases = frozenset(asked.cases.split(",")) if asked.cases else frozenset(CASES)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what we started ends with us
    began = time.monotonic()
    try:
        kit.prepare(peers=peers)
        found = _Rounds(peers=peers, only=only, cases=cases)
        for number in range(asked.rounds or (1 if asked.quick else _ROUNDS)):
            found.go(number)
        results = found.results(time.monotonic() - began)
    except (kit.NotReady, Broken, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    save(out, results)
    said = verdicts(results, ("direct", "p_aiohttp", "itself") if asked.quick else None)
    print(f"\n{_shown(said)}\n\n{out}, {results.seconds:.0f} s", flush=True)
    return 0 if all(verdict.holds for verdict in said) else 1


class _Rounds:
    """What the rounds have found so far."""

    def __init__(self, *, peers: bool, only: frozenset[str] | None, cases: frozenset[str]) -> None:
        self._peers = peers
        self._cases = cases
        self._stage = new_stage(kit.BENCH / "run")
        self._targets = [one for one in targets(self._stage, peers=peers) if only is None or one.name in only]
        self._cores = processes.cores()
        self._rows: list[Row] = []
        self._starts: list[Start] = []
        self._stalled: list[Stalled] = []
        processes.allow_many_files()

    def go(self, number: int) -> None:
        """One round. Raises Broken."""
        for target in self._targets:
            if target.extra and number > 0:
                continue
            with started(target, self._stage, self._cores) as running:
                if target.programs and not target.extra:
                    self._starts.append(running.start)
                for case in target.cases:
                    if case.name not in self._cases or (target.slow and case.streams and number > 0):
                        continue
                    row = measure(running, case, self._stage, self._cores)
                    self._rows.append(row)
                    print(_line(number, row), flush=True)
                    time.sleep(_BREATH_SECONDS)
                if target.name == "fleet":
                    self._stalled.append(stall(running))

    def results(self, seconds: float) -> Results:
        """Medians of all rounds."""
        return Results(
            date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            seconds=round(seconds),
            machine=machine(),
            versions={"fleet": fleet_version(), **kit.versions(peers=self._peers)},
            priority=" ".join(self._cores.precedence) or "none",
            rows=medians(self._rows),
            starts=median_starts(self._starts),
            stalled=median_stalled(self._stalled),
        )


def _line(number: int, row: Row) -> str:
    chunks = f"  {row.chunks_per_second:8,.0f} chunks/s" if row.chunks_per_second is not None else ""
    first = f"  first p99 {row.first_chunk_p99_ms:,.1f} ms" if row.first_chunk_p99_ms is not None else ""
    return (
        f"{number + 1}  {row.target:<15} {row.case:<11} {row.rps:9,.1f}/s  p50 {row.p50_ms or 0:9.3f}  "
        f"p99 {row.p99_ms or 0:9.3f} ms  {row.cpu_us_per_unit or 0:8,.1f} us  {row.rss_mb:7,.1f} MB"
        f"  failed {row.failed:.0f}{chunks}{first}"
    )


def _shown(said: Sequence[Verdict]) -> str:
    against = max(len(verdict.demand.against) for verdict in said)
    text = max(len(verdict.demand.text) for verdict in said)
    return "\n".join(
        f"{'pass' if verdict.holds else 'FAIL'}  {verdict.demand.against:<{against}}  {verdict.demand.text:<{text}}"
        f"  {verdict.shown:>12}  wanted {verdict.demand.bound}"
        for verdict in said
    )


if __name__ == "__main__":
    sys.exit(main())
