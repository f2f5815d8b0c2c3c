"""Nodes that are played: what their agents and their front say, in states one after the other. Pure.

From one state to the next the wanted part of what the columns of the overview show is another. Nobody gets sick of it,
so the order of rows stays: a table beside it keeps none.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from fleet.vocabulary.contracts.gateway_admin import NodeWord, NodeWords
from fleet.vocabulary.contracts.snapshot import (
    AgentReading,
    CareReading,
    CollectorReading,
    Disk,
    Memory,
    Panics,
    ServiceReading,
    SidecarReading,
    Snapshot,
    Swap,
    Thermal,
)
from fleet.vocabulary.units import GIB

FRONT = "front-1"
STATES = 12
TIME = 1_795_300_000.125
"""When every sample was taken: whoever plays it says now instead."""
_BOOTED = 1_795_000_000.0
_MODELS = ("mlx-community/Qwen3-30B-A3B-4bit", "mlx-community/gpt-oss-20b-MXFP4", "mlx-community/Llama-3.3-70B-4bit")
_COLLECTORS = (
    "machine", "panics", "disk", "boot", "swap", "cpu", "gpu", "load", "memory", "thermal", "launchd", "processes",
    "footprint", "care", "gateway", "pace", "metal", "history", "logs", "own", "cures",
)  # fmt: skip

Readings = dict[str, object]
_READINGS: dict[str, Callable[[random.Random], object]] = {
    "pace": lambda chance: round(chance.uniform(30.0, 60.0), 1),
    "first_token": lambda chance: round(chance.uniform(0.2, 0.9), 2),
    "in_flight": lambda chance: chance.randrange(8),
    "headroom": lambda chance: chance.randrange(6, 12) * GIB,
    "swap": lambda chance: chance.randrange(1024) * GIB // 1024,
    "pressure": lambda chance: chance.choice((1, 1, 1)),
    "thermal": lambda chance: chance.randrange(2),
    "model": lambda chance: chance.choice(_MODELS),
}


def name_of(number: int) -> str:
    """The node of that number; the first is the front."""
    return FRONT if number == 0 else f"mini-{number:04d}"


def states(nodes: int, *, moving: float, at_seconds: float = TIME) -> Iterator[tuple[Snapshot, ...]]:
    """`STATES` states of so many nodes."""
    chance = random.Random(7)
    rows = [{field: make(chance) for field, make in _READINGS.items()} for _ in range(nodes)]
    for state in range(STATES):
        if state:
            rows = [_moved(chance, row, moving) for row in rows]
        yield tuple(_snapshot(name_of(number), row, at_seconds) for number, row in enumerate(rows))


def words(snapshots: tuple[Snapshot, ...]) -> NodeWords:
    """What a front says of these: it heard all of them just now."""
    told = tuple(
        NodeWord(
            node=one.node,
            address="10.0.0.1:8443",
            heard_at_seconds=TIME,
            sample_age_seconds=0.0,
            tried_at_seconds=TIME,
            snapshot=one,
        )
        for one in snapshots
    )
    return NodeWords(node=FRONT, at_seconds=TIME, nodes=told)


def _moved(chance: random.Random, row: Readings, moving: float) -> Readings:
    return row | {field: make(chance) for field, make in _READINGS.items() if chance.random() < moving}


def _snapshot(node: str, row: Readings, at: float) -> Snapshot:
    made = {
        "node": node,
        "at_seconds": at,
        "agent_version": "0.1.0",
        "readings": "macos",
        "os_version": "26.1",
        "chip": "Apple M4 Pro",
        "hardware_model": "Mac16,11",
        "boot_time_seconds": _BOOTED,
        "cpu_ratio": 0.12,
        "gpu_ratio": 0.83,
        "load_1m": 2.1,
        "memory": Memory(
            total_bytes=32 * GIB,
            wired_bytes=14 * GIB,
            compressed_bytes=GIB,
            app_bytes=8 * GIB,
            cached_bytes=5 * GIB,
            free_bytes=2 * GIB,
            pressure_level=row["pressure"],  # type: ignore[arg-type]
            free_ratio=0.6,
            wired_limit_bytes=24 * GIB,
            wired_headroom_bytes=row["headroom"],  # type: ignore[arg-type]
            wired_limit_expected_bytes=24 * GIB,
            compressions_total=1000,
            decompressions_total=900,
        ),
        "swap": Swap(
            used_bytes=row["swap"],  # type: ignore[arg-type]
            total_bytes=2 * GIB,
            swapins_bytes_total=0,
            swapouts_bytes_total=0,
            swapin_bytes_per_second=0.0,
            swapout_bytes_per_second=0.0,
        ),
        "thermal": Thermal(pressure_level=row["thermal"], ever_nonzero=True),  # type: ignore[arg-type]
        "disks": (Disk(mount="/", total_bytes=1000 * GIB, free_bytes=400 * GIB),),
        "services": tuple(_service(name) for name in ("agent", "sidecar.chat")),
        "sidecars": (_sidecar(row, at),),
        "collectors": tuple(CollectorReading(name=name, ok=True, seconds=0.0002, tier="fast") for name in _COLLECTORS),
        "panics": Panics(count=0),
        "agent": AgentReading(resident_bytes=22_000_000, cpu_seconds_total=10.0, late_seconds=0.001),
    }
    return Snapshot(**made)  # type: ignore[arg-type]


def _service(name: str) -> ServiceReading:
    return ServiceReading(
        name=name,
        label=f"org.fleet-macs.{name}",
        up=True,
        state="running",
        pid=4711,
        runs=1,
        last_exit="(never exited)",
        started_at_seconds=_BOOTED + 60,
        resident_bytes=100_000_000,
    )


def _sidecar(row: Readings, at: float) -> SidecarReading:
    pace, first = row["pace"], row["first_token"]
    return SidecarReading(
        name="sidecar.chat",
        model=row["model"],  # type: ignore[arg-type]
        port=8081,
        live=True,
        ready=True,
        probed_at_seconds=at,
        probe_seconds=0.01,
        decode_tokens_per_second=pace,  # type: ignore[arg-type]
        baseline_tokens_per_second=45.0,
        pace_ratio=pace / 45.0,  # type: ignore[operator]
        recent_pace_ratio=pace / 45.0,  # type: ignore[operator]
        first_token_seconds=first,  # type: ignore[arg-type]
        baseline_first_token_seconds=0.5,
        in_flight=row["in_flight"],  # type: ignore[arg-type]
        served_at_seconds=at,
        care=CareReading(),
    )
