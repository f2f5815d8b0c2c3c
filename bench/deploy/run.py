"""`make bench-deploy`: `fleet deploy` beside pyinfra, Ansible and `ssh NODE true`, on the same nodes; demands checked.

    python -m bench.deploy.run [--quick] [--rounds N] [--near] [--far] [--out FILE]

N nodes behind OpenSSH's own sshd, near (0 ms) and 20 ms away; every tool does the same work and is checked by the
bytes on the nodes. Tools take turns, medians count. `--quick`: fleet and `ssh true` alone, near, one round. Exit
code: 0 all demands are met, 1 not, 2 the run could not be made.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.demand import judge
from bench.deploy import tools
from bench.deploy.demands import DEMANDS
from bench.deploy.rig import STAGE, Rig, nodes
from bench.deploy.rows import Results, Row, medians, save
from bench.deploy.tools import Tool
from bench.deploy.workload import Workload
from bench.gateway.kit import BENCH, NotReady
from bench.machine import ROOT, fleet_version, machine
from bench.page import demands as demand_table

RESULTS = ROOT / "bench/results/deploy.json"
QUICK_RESULTS = BENCH / "deploy-quick.json"
_MOST = 32
_ROUNDS = 3
_FAR_MS = 20


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench.deploy.run", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fleet and ssh true alone, near, one round")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default {_ROUNDS}, quick 1")
    parser.add_argument("--near", action="store_true", help="0 ms alone")
    parser.add_argument("--far", action="store_true", help="20 ms alone")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default {RESULTS.relative_to(ROOT)}")
    asked = parser.parse_args()
    partial = asked.quick or asked.near or asked.far
    out = asked.out or (QUICK_RESULTS if partial else RESULTS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what we started ends with us
    began = time.monotonic()
    rows: list[Row] = []
    try:
        if not asked.quick:
            tools.prepare()
        for rtt_ms in (*(() if asked.far else (0,)), *(() if asked.near or asked.quick else (_FAR_MS,))):
            rows += _leg(rtt_ms, rounds=asked.rounds or (1 if asked.quick else _ROUNDS), peers=not asked.quick)
    except (NotReady, Broken) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    results = Results(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began),
        machine=machine(),
        versions={"fleet": fleet_version(), **({} if asked.quick else tools.versions())},
        rows=medians(rows),
    )
    save(out, results)
    said = judge(DEMANDS, results)
    print(f"\n{demand_table(said)}\n{out}, {results.seconds:.0f} s", flush=True)
    return 0 if all(verdict.holds for verdict in said) else 1


class Broken(Exception):
    """A tool did not do the work; the text says what is wrong and what it said."""


def _leg(rtt_ms: int, *, rounds: int, peers: bool) -> list[Row]:
    with nodes(_MOST, rtt_ms=rtt_ms) as rig, _agent(rig) as agent:
        leg = _Leg(rig, agent)
        for n in (1, _MOST) if rtt_ms else (1, 8, _MOST):
            leg.settle(n)
            for _ in range(rounds):
                leg.measure("fleet", "noop", n)
                leg.measure("ssh true", "true", n)
                if peers:
                    leg.measure("pyinfra", "noop", n)
                if peers and n == 1 and not rtt_ms:
                    leg.measure("Ansible", "noop", n)
        for case in ("first",) if rtt_ms else ("change", "first"):
            for _ in range(max(1, rounds - 1)):
                leg.measure("fleet", case, _MOST)
                if peers:
                    leg.measure("pyinfra", case, _MOST)
        return leg.rows


class _Leg:
    """All cases on one rig."""

    def __init__(self, rig: Rig, agent: str) -> None:
        self._rig = rig
        self._work = Workload(rig, STAGE / "work")
        self._work.prepare()
        self._work.empty(rig.addresses)
        self._release = 1
        self.rows: list[Row] = []
        self._tools: dict[str, Callable[[Sequence[str]], Tool]] = {
            "fleet": lambda addresses: tools.fleet(self._work, addresses, agent=agent),
            "ssh true": lambda addresses: tools.ssh_true(self._work, addresses),
            "pyinfra": lambda addresses: tools.pyinfra(self._work, addresses),
            "Ansible": lambda addresses: tools.ansible(self._work, addresses),
        }

    def settle(self, n: int) -> None:
        """Fleet's work is done, and it has seen so: what it remembers is of nodes as they are."""
        for _ in range(3):
            self._run("fleet", self._rig.addresses[:n])

    def measure(self, tool: str, case: str, n: int) -> None:
        """One run of a tool in a case. Raises Broken."""
        addresses = self._rig.addresses[:n]
        if case == "first":
            self._work.empty(addresses)
            self._work.forget()
        if case == "change":
            self._release += 1
            self._work.release(str(self._release))
        self._work.forget_calls(addresses)
        before = self._rig.counts()
        found = self._run(tool, addresses)
        after = self._rig.counts()
        wrong = self._work.wrong(addresses, calls=int(case in ("first", "change")))
        if wrong:
            raise Broken(f"{tool}, {case}: {', '.join(wrong[:5])}\n{found['said']}")
        row = Row(
            tool=tool,
            case=case,
            n=n,
            rtt_ms=self._rig.rtt_ms,
            wall_s_median=found["wall_s"],
            cpu_s_median=found["cpu_s"],
            peak_mb=found["peak_mb"],
            connections=(after[0] - before[0]) / n,
            sessions=(after[1] - before[1]) / n,
        )
        self.rows.append(row)
        print(
            f"{row.rtt_ms:3} ms  {n:3}  {case:7} {tool:9} {row.wall_s_median:7.3f} s  cpu {row.cpu_s_median:6.3f} s "
            f"{row.peak_mb:6.1f} MB  {row.connections:.1f} / {row.sessions:.1f}",
            flush=True,
        )

    def _run(self, tool: str, addresses: Sequence[str]) -> dict[str, Any]:
        chosen = self._tools[tool](addresses)
        command = [*self._rig.prefix, sys.executable, "-m", "bench.deploy.timed", *chosen.command]
        environment = tools.environment(chosen)
        environment["PYTHONPATH"] = str(ROOT)
        done = subprocess.run(command, cwd=chosen.cwd, env=environment, capture_output=True, text=True, check=False)
        try:
            found: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise Broken(f"{tool}: {done.stderr[-600:]}") from None
        if found["code"]:
            raise Broken(f"{tool} ended with {found['code']}: {found['said']}")
        time.sleep(0.3)
        return found


@contextlib.contextmanager
def _agent(rig: Rig) -> Iterator[str]:
    """An SSH agent that holds the one key."""
    sock = rig.folder / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if sock.exists():
                break
            time.sleep(0.02)
        subprocess.run(["ssh-add", "-q", str(rig.key)], env={"SSH_AUTH_SOCK": str(sock)}, check=True)
        yield str(sock)
    finally:
        agent.terminate()
        agent.wait()


if __name__ == "__main__":
    sys.exit(main())
