"""`make soak-top`: `fleet top` for hours over a simulated fleet that never stands still; it must not grow.

    python -m bench.top.soak [--hours H] [--nodes N] [--room FOLDER] [--out FILE]

The screen is in a terminal of its own: every round somebody moves, sorts, filters, marks, resizes and opens every
screen, while nodes go and come back and get and lose faults. Memory, threads and descriptors are read from /proc,
objects counted by the process itself. Linux only. Exit code: 0 it does not grow, 1 it does, 2 it could not be made.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from bench import cost
from bench.demand import judge
from bench.machine import ROOT, fleet_version, machine
from bench.page import demands as demand_table
from bench.top import inside
from bench.top.soakrows import DEMANDS, WARM_UP, Count, Sample, Soak, save
from bench.top.terminal import Ended, Terminal
from bench.top.troubles import Troubles
from bench.top.visits import Visitor
from fleet.sim.simulation import Simulation

RESULTS = ROOT / "bench/results/top-soak.json"
_COUNT_SECONDS = 120.0
_TROUBLE_SECONDS = 20.0
_START_SECONDS = 60.0


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench.top.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=2.0, metavar="H")
    parser.add_argument("--nodes", type=int, default=4, metavar="N", help="simulated Macs, the first is the front")
    parser.add_argument("--room", type=Path, metavar="FOLDER", help="a simulation that is up and deployed to")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE")
    asked = parser.parse_args()
    try:
        with _room(asked.room, asked.nodes) as room:
            soak = _soaked(room, seconds=asked.hours * 3600)
    except (Ended, OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    save(asked.out, soak)
    said = judge(DEMANDS, soak)
    print(f"\n{demand_table(said)}\n{asked.out}", flush=True)
    return 0 if all(verdict.holds for verdict in said) else 1


@contextmanager
def _room(folder: Path | None, nodes: int) -> Iterator[Path]:
    """A simulated fleet, deployed to; one that was there already is left as it is."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory() as made:
        words = (("sim", "up", "--nodes", str(nodes), "--models", "scripted", "--throttle-scale", "0.1"),)
        try:
            for verb in (*words, ("adopt", "--all", "--yes"), ("deploy", "--yes")):
                place = ("--dir", ".") if verb[0] == "sim" else ()
                subprocess.run([sys.executable, "-m", "fleet", *verb, *place], cwd=made, check=True)
            yield Path(made)
        finally:
            subprocess.run([sys.executable, "-m", "fleet", "sim", "down", "--dir", "."], cwd=made, check=False)


def _soaked(room: Path, *, seconds: float) -> Soak:
    """Raises Ended, OSError."""
    simulation = Simulation(room)
    nodes = tuple(node.name for node in simulation.plan.nodes)
    troubles = Troubles(simulation, nodes[1:] or nodes)
    began = time.time()
    with tempfile.TemporaryDirectory() as kept:
        census = Path(kept) / "census"
        words = ["-m", "bench.top.inside", str(census), str(_COUNT_SECONDS), "top"]
        environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        with Terminal([sys.executable, *words], folder=room, environment=environment) as terminal:
            if terminal.read(_START_SECONDS, until=lambda screen: nodes[0] in screen.text) is None:
                raise Ended(f"fleet top shows no node:\n{terminal.screen.text}")
            visitor = Visitor(terminal)
            samples = _watched(terminal, visitor, troubles, began=began, seconds=seconds)
            cpu, most = terminal.cpu_seconds(), terminal.most_mb()
        counted = inside.read(census)
    for node in nodes:
        simulation.clear(node)
    wall = time.time() - began
    return Soak(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds=round(wall),
        machine=machine(),
        versions={"fleet": fleet_version(), "python": sys.version.split()[0], "Textual": version("textual")},
        nodes=len(nodes),
        rounds=visitor.rounds,
        happened=troubles.happened,
        cpu_percent=round(100 * cpu / wall, 2),
        most_mb=round(most, 1),
        samples=samples,
        counts=tuple(Count(at_seconds=round(one.at_seconds - began), objects=one.objects) for one in counted),
        grown=inside.grown(counted, after=WARM_UP),
    )


def _watched(
    terminal: Terminal, visitor: Visitor, troubles: Troubles, *, began: float, seconds: float
) -> tuple[Sample, ...]:
    """The samples of a run. Trouble comes, and samples are taken, between rounds: both are as often as rounds are."""
    samples: list[Sample] = []
    troubled = 0.0
    while (now := time.time()) < began + seconds:
        if now - troubled >= _TROUBLE_SECONDS:
            troubled, said = now, troubles.turn()
            print(f"{now - began:7.0f} s  {cost.resident_mb([terminal.pid]):6.1f} MB  {said}", flush=True)
        visitor.round()
        samples.append(_sample(terminal.pid, at_seconds=round(time.time() - began, 1)))
    return tuple(samples)


def _sample(pid: int, *, at_seconds: float) -> Sample:
    process = Path(f"/proc/{pid}")
    return Sample(
        at_seconds=at_seconds,
        resident_mb=round(cost.resident_mb([pid]), 2),
        threads=sum(1 for _ in (process / "task").iterdir()),
        descriptors=sum(1 for _ in (process / "fd").iterdir()),
    )


if __name__ == "__main__":
    sys.exit(main())
