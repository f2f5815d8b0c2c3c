"""One way to poll, in a process of its own: `python -m bench.poll.client SCENE.json WAY SECONDS IDLE OUT.json`."""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench import cost
from bench.poll.rows import Row
from bench.poll.ways import Direct, Fleet, Scene, Stock, Way

EVERY_SECONDS = 5.0
WAYS = ("direct", "direct_together", "stock", "stock_together", "fleet_spread", "fleet")
"""Bare HTTP and stock paramiko ask node by node, evenly spread, and all at once; so does fleet, whose poller asks all
at once when it is left alone."""
_SETTLE_SECONDS = 2.0
_IDLE = ("stock", "fleet")
_KINDS: dict[str, Callable[[Scene], Way]] = {"direct": Direct, "stock": Stock, "fleet": Fleet}


def measure(name: str, scene: Scene, *, seconds: float, idle_seconds: float) -> Row:
    """The row of one way."""
    together = name in ("direct_together", "stock_together", "fleet")
    way: Way = _KINDS[name.partition("_")[0]](scene)
    before = time.process_time()
    way.connect()
    connected = time.process_time() - before
    nodes = range(scene.nodes)
    way.ask(nodes)
    time.sleep(_SETTLE_SECONDS)
    idle = _idle_percent(idle_seconds) if name in _IDLE else None
    groups: list[Sequence[int]] = [nodes] if together else [[node] for node in nodes]
    before = time.process_time()
    polls, failed, times = _poll(way, groups, seconds=seconds)
    used = time.process_time() - before
    resident, threads = cost.resident_mb([os.getpid()]), threading.active_count()
    began = time.monotonic()
    way.close()
    times.sort()
    return Row(
        way=name,
        nodes=scene.nodes,
        polls=polls,
        failed=failed,
        cpu_ms_per_poll=1000 * used / polls,
        idle_percent=idle,
        p50_ms=1000 * statistics.median(times),
        p99_ms=1000 * times[round(0.99 * (len(times) - 1))],
        connect_ms_each=1000 * connected / scene.nodes,
        resident_mb=resident,
        threads=threads,
        close_seconds=time.monotonic() - began,
    )


def _idle_percent(seconds: float) -> float:
    began, before = time.monotonic(), time.process_time()
    time.sleep(seconds)
    return 100 * (time.process_time() - before) / (time.monotonic() - began)


def _poll(way: Way, groups: Sequence[Sequence[int]], *, seconds: float) -> tuple[int, int, list[float]]:
    """Every node every 5 s, the groups evenly spread over that time."""
    polls = failed = 0
    times: list[float] = []
    began = time.monotonic()
    for turn in range(round(seconds / EVERY_SECONDS)):
        for place, group in enumerate(groups):
            due = began + EVERY_SECONDS * (turn + place / len(groups))
            time.sleep(max(0.0, due - time.monotonic()))
            asked = time.monotonic()
            failed += way.ask(group)
            times.append(time.monotonic() - asked)
            polls += len(group)
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    return polls, failed, times


def main(words: Sequence[str]) -> int:
    """0, and the row in the file."""
    scene = msgspec.json.decode(Path(words[0]).read_bytes(), type=Scene)
    row = measure(words[1], scene, seconds=float(words[2]), idle_seconds=float(words[3]))
    Path(words[4]).write_bytes(msgspec.json.encode(row))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
