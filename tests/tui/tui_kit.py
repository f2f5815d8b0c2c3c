"""Fleets to look at, without a fleet: healthy, mixed, all stale, empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from fleet.cli.main import cli
from fleet.cli.topactions import offered
from fleet.control.watch.view import Concern, FleetView, NodeRow, Reach, ServedModel
from fleet.testing.clock import FakeClock
from fleet.tui.actions import Actions, Outcome
from fleet.tui.app import FleetTop
from fleet.tui.events_screen import Told
from fleet.tui.node_screen import History
from fleet.tui.traffic_source import TrafficSource
from fleet.vocabulary.health.state import Transition
from fleet.vocabulary.names import Freshness, Health, Intent, NodeName
from fleet.vocabulary.units import GIB, MIB

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SWAP = Concern(
    code="swap_storm",
    health=Health.CRITICAL,
    text="it swaps: 310 MB/s written, and 212 MiB left under the GPU wired limit",
    since=NOW - timedelta(seconds=130),
    next="new requests go elsewhere until it has been calm for 60 s",
    hint="fleet drain mini-03\nor lower its model's context",
)
HOT = Concern(
    code="thermal",
    health=Health.WARN,
    text="thermal pressure is heavy: the machine slows itself down",
    since=NOW - timedelta(seconds=600),
    next="it gets half of the work while it lasts",
    hint="look at its fan and its place: fleet doctor studio-1",
)


def node(name: str, **changes: Any) -> NodeRow:
    """A node that is well."""
    values = {
        "freshness": Freshness.LIVE,
        "health": Health.OK,
        "reach": Reach.ANSWERED,
        "age_seconds": 2.0,
        "groups": ("mlx",),
        "services_up": 3,
        "services_total": 3,
        "models": (ServedModel(name="mlx-community/Qwen3-30B-A3B-4bit", sidecar="chat", ready=True),),
        "pressure_level": 1,
        "thermal_level": 0,
        "tokens_per_second": 41.5,
        "pace_ratio": 1.02,
        "first_token_seconds": 0.42,
        "in_flight": 2,
        "wired_headroom_bytes": 9 * GIB,
        "wired_limit_bytes": 24 * GIB,
        "memory_total_bytes": 32 * GIB,
        "swap_used_bytes": 0,
        "boot_time_seconds": 1_790_000_000.0,
        "sampled_at_seconds": 1_795_348_800.0,
        "os_version": "26.1",
        "chip": "Apple M4 Pro",
        **changes,
    }
    return NodeRow(node=NodeName(name), **values)


def view(*rows: NodeRow, at: datetime = NOW) -> FleetView:
    """A view of these."""
    return FleetView(at=at, rows=rows)


HEALTHY = view(*(node(f"mini-{number:02d}", tokens_per_second=30.0 + number) for number in range(1, 9)))
SICK = node(
    "mini-03",
    health=Health.CRITICAL,
    concerns=(SWAP,),
    problem=SWAP.text,
    hint=SWAP.hint,
    pressure_level=4,
    wired_headroom_bytes=212 * MIB,
    swap_used_bytes=6 * GIB,
    swapout_bytes_per_second=310e6,
    tokens_per_second=7.1,
    pace_ratio=0.17,
    first_token_seconds=9.4,
    in_flight=6,
)
MIXED = view(
    node("mini-01"),
    node("mini-02", tokens_per_second=38.0),
    SICK,
    node("mini-04", intent=Intent.DRAINED, tokens_per_second=None, in_flight=0, pace_ratio=None),
    node(
        "studio-1", health=Health.WARN, concerns=(HOT,), problem=HOT.text, hint=HOT.hint, thermal_level=2,
        tokens_per_second=88.0, memory_total_bytes=128 * GIB, wired_headroom_bytes=40 * GIB,
        wired_limit_bytes=110 * GIB, chip="Apple M3 Ultra", groups=("mlx", "berlin"),
    ),
    node(
        "studio-2", freshness=Freshness.OFFLINE, reach=Reach.UNREACHABLE, age_seconds=1260.0,
        problem="no answer on port 22 for 21m", hint="fleet doctor studio-2",
    ),
    NodeRow(
        node=NodeName("new-1"), reach=Reach.NOT_ADOPTED, problem="not adopted yet", hint="fleet adopt new-1",
    ),
)  # fmt: skip
ALL_STALE = view(*(node(f"mini-{number:02d}", freshness=Freshness.STALE, age_seconds=75.0) for number in range(1, 5)))
EMPTY = view()


class Shown:
    """A source that shows what it is told to."""

    def __init__(self, newest: FleetView | None) -> None:
        self.newest = newest
        self.problem = ""
        self.started = self.stopped = False

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.stopped = True


class Remembered:
    """An hour of a node: its headroom falls, and ten minutes of it are missing."""

    def read(
        self, node: NodeName, *, since_seconds: float, until_seconds: float
    ) -> Iterator[tuple[int, Mapping[str, float]]]:
        end = 1_795_348_800
        for minute in range(60):
            at = end - (59 - minute) * 60
            if since_seconds <= at < until_seconds and not 20 <= minute < 30:
                level = 1.0 if minute < 50 else 4.0
                yield at, {"wired_headroom_bytes": (9.0 - minute * 0.147) * GIB, "memory_pressure_level": level}


def turn(
    node: str,
    check: str,
    health: Health,
    minutes_ago: float,
    *,
    began: float | None = None,
    text: str = "",
    do: str = "",
) -> Transition:
    """`node` turned to `health` so many minutes ago; `began` is when the fault did."""
    at = (NOW - timedelta(minutes=minutes_ago)).timestamp()
    ok = health is Health.OK
    start = at if began is None else (NOW - timedelta(minutes=began)).timestamp()
    return Transition(
        at_seconds=at, node=node, check=check, before=Health.WARN if ok else Health.OK, after=health,
        began_seconds=start, since_seconds=at, text=text or check, do=do,
    )  # fmt: skip


class Written:
    """Transitions that were written down."""

    def __init__(self, *told: Transition) -> None:
        self.told = list(told)
        self.reads = 0

    def read(self) -> list[Transition]:
        self.reads += 1
        return list(self.told)

    def signature(self) -> int:
        return len(self.told)


EVENTS = (
    turn("mini-02", "thermal", Health.WARN, 300.0, text="thermal pressure is heavy"),
    turn("mini-02", "thermal", Health.OK, 240.0, began=300.0, text="thermal pressure is heavy"),
    turn("studio-2", "unreachable", Health.CRITICAL, 21.0, text="no answer on port 22", do="fleet doctor studio-2"),
    turn("mini-03", "swap_storm", Health.CRITICAL, 2.2, text=SWAP.text, do=SWAP.hint),
)


class Done:
    """Actions that only write down what they were asked to run."""

    def __init__(self, outcome: Outcome = Outcome(0, "done as asked")) -> None:  # noqa: B008 (frozen)
        self.verbs = offered(cli, click.Context(cli), playbook="site.yml")
        self.outcome = outcome
        self.ran: list[tuple[str, ...]] = []

    def run(self, argv: Sequence[str]) -> Outcome:
        self.ran.append(tuple(argv))
        return self.outcome

    def in_terminal(self, argv: Sequence[str]) -> None:
        self.ran.append(tuple(argv))


def top(
    newest: FleetView | None,
    *,
    unicode: bool = True,
    history: History | None = None,
    actions: Actions | None = None,
    told: Told | None = None,
    traffic: TrafficSource | None = None,
) -> tuple[FleetTop, Shown]:
    """The application over a source that stands still."""
    source = Shown(newest)
    clock = FakeClock(NOW)
    app = FleetTop(source, clock=clock, unicode=unicode, history=history, actions=actions, told=told, traffic=traffic)
    return app, source
