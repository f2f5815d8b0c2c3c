"""Runs and logs to look at, in real files and out of no node: healthy, mixed, stale, empty."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from tui_kit import NOW, Done, Remembered, Shown, Written

from fleet.control.actions.loglines import LineReader, LogLine
from fleet.control.actions.runlist import RunList
from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.batches import batches
from fleet.control.rollout.journal import Journal
from fleet.control.rollout.runrecord import RunRecord, RunStore
from fleet.control.rollout.walk import Walk
from fleet.control.watch.view import FleetView
from fleet.testing.clock import FakeClock
from fleet.tui.app import FleetTop
from fleet.tui.traffic_source import TrafficSource
from fleet.vocabulary.contracts.events import Outcome, Phase
from fleet.vocabulary.names import NodeName, RunId

NODES = [NodeName(name) for name in ("mini-01", "mini-02", "mini-03", "mini-04", "studio-1")]
ORDER = batches([("nodes with models", Pace(max_unavailable=2), NODES)], dict.fromkeys(NODES, True))
SAID = """the gate did not pass: http http://127.0.0.1:8800/health
Traceback (most recent call last):
  File "server.py", line 12, in <module>
MemoryError: the model does not fit: 24.1 GiB of 24.0 GiB"""
HINT = "fleet logs mini-03 sidecar.chat\nor a smaller model: fleet model fit mini-03"
KEY = "sk-or-v1-" + "0a1b2c3d" * 8


def record(
    began: datetime,
    outcomes: dict[NodeName, Outcome],
    *,
    minutes: float | None,
    action: str = "deploy",
    away: Iterable[NodeName] = (),
    why: str = "its gate did not pass",
) -> RunRecord:
    """A run of all nodes. Without `minutes` it has no end."""
    bad = [node for node, outcome in outcomes.items() if outcome not in (Outcome.CHANGED, Outcome.UNCHANGED)]
    return RunRecord(
        run_id=RunId(f"{began:%Y%m%dT%H%M%SZ}-0000abcd"),
        began_at=began.isoformat(timespec="seconds"),
        operator="anna@laptop",
        playbook="site.yml",
        action=action,
        fleet_version="1.2.3",
        walk=Walk(batches=ORDER, ended=outcomes, out=frozenset(away), at=1, entered=True),
        states=dict.fromkeys(NODES, "a" * 64),
        outcomes=outcomes,
        why=dict.fromkeys(bad, why),
        ended_at=None if minutes is None else (began + timedelta(minutes=minutes)).isoformat(timespec="seconds"),
    )


class Room:
    """A folder with runs. The journal of the live one is held open, as its process would."""

    def __init__(self, folder: Path) -> None:
        self.store = RunStore(folder / "runs")
        self.list = RunList(self.store)
        self.clock = FakeClock(NOW)
        self.live: Journal | None = None

    def past(self) -> RunRecord:
        """Yesterday all went well."""
        found = record(NOW - timedelta(days=1), dict.fromkeys(NODES, Outcome.CHANGED), minutes=4)
        self.store.save(found)
        self._told(found, at=NOW - timedelta(days=1))
        return found

    def failed(self) -> RunRecord:
        """This morning one went back, and the rest was not begun."""
        outcomes = {
            NODES[0]: Outcome.CHANGED,
            NODES[1]: Outcome.UNCHANGED,
            NODES[2]: Outcome.REVERTED,
            NODES[3]: Outcome.SKIPPED,
            NODES[4]: Outcome.SKIPPED,
        }
        found = record(NOW - timedelta(hours=3), outcomes, minutes=2.5)
        self.store.save(found)
        self._told(found, at=NOW - timedelta(hours=3))
        return found

    def left(self) -> RunRecord:
        """A rollback whose laptop went away."""
        found = record(
            NOW - timedelta(hours=2), {NODES[0]: Outcome.CHANGED}, minutes=None, action="rollback", away=NODES[1:2]
        )
        self.store.save(found)
        return found

    def going_on(self) -> RunRecord:
        """One that is live: done, failed and going back, sending, applying, waiting."""
        began = NOW - timedelta(seconds=70)
        clock = FakeClock(began)
        found = record(began, {NODES[0]: Outcome.CHANGED}, minutes=None, away=NODES[1:4])
        self.store.save(found)
        journal = self.live = Journal(
            found.run_id, clock=clock, show=lambda _: None, path=self.store.journal(found.run_id)
        )
        journal.say(Phase.APPLY, "note", "batch 2 of 3 (nodes with models): mini-02, mini-03, mini-04")
        journal.say(Phase.CHECK, "start", node=NODES[0])
        clock.sleep(40)
        journal.say(Phase.DONE, "ok", node=NODES[0], outcome=Outcome.CHANGED)
        journal.say(
            Phase.APPLY, "start", "daemon org.fleet-macs.sidecar.chat · rebootstrap · its plist changes", node=NODES[1]
        )
        journal.say(Phase.GATE, "failed", "http http://127.0.0.1:8800/health", node=NODES[2], detail=SAID, hint=HINT)
        journal.say(Phase.REVERT, "start", "daemon org.fleet-macs.sidecar.chat · rebootstrap", node=NODES[2])
        for done in (1, 2, 3):
            clock.sleep(10)
            journal.say(Phase.SEND, "progress", node=NODES[3], done=done * 100 * 2**20, total=900 * 2**20)
        return found

    def of(self, fleet: str) -> RunList:
        """The runs of a fleet that is healthy, mixed, stale (nobody drives them any more) or empty."""
        if fleet in ("healthy", "mixed"):
            self.past()
        if fleet in ("mixed", "stale"):
            self.failed()
            self.left()
        if fleet == "mixed":
            self.going_on()
        return self.list

    def _told(self, run: RunRecord, *, at: datetime) -> None:
        clock = FakeClock(at)
        journal = Journal(run.run_id, clock=clock, show=lambda _: None, path=self.store.journal(run.run_id))
        for node, outcome in run.outcomes.items():
            journal.say(Phase.CHECK, "start", node=node)
            clock.sleep(30)
            bad = outcome is Outcome.REVERTED
            if bad:
                journal.say(
                    Phase.GATE, "failed", "http http://127.0.0.1:8800/health", node=node, detail=SAID, hint=HINT
                )
            journal.say(Phase.DONE, "failed" if bad else "ok", run.why.get(node, ""), node=node, outcome=outcome)
        journal.close()


HEAD = "fleet-logs +0000\n==> /opt/fleet/log/{}.log <==\n"
GATEWAY = HEAD.format("gateway") + (
    "2026-11-22T11:59:57.120Z INFO request id=01ynk4 outcome=ok status=200 key=anna route=code seconds=2.4\n"
    '2026-11-22T11:59:58.009Z WARNING upstream_away upstream=studio-2 problem="no answer within 5 s"\n'
    "2026-11-22T11:59:59.731Z INFO request id=01ynk5 outcome=ok status=200 key=ben route=docs seconds=0.9\n"
)
SIDECAR = HEAD.format("sidecar.chat") + (
    "2026-11-22 11:59:57,500 - INFO - Prompt processing progress: 512/512\n"
    "2026-11-22 11:59:58,700 - ERROR - out of memory\n"
    "Traceback (most recent call last):\n"
    '  File "server.py", line 12, in <module>\n'
)


def lines_of(fleet: str, nodes: Sequence[str]) -> list[LogLine]:
    """What the first nodes log, and that the last one is away."""
    count = itertools.count()
    readers = [LineReader(node, now=NOW.timestamp, count=count) for node in nodes]
    if fleet == "empty":
        return []
    found = readers[0].feed(GATEWAY.encode())
    if fleet == "mixed":
        for reader in readers[1:2]:
            found += reader.feed(SIDECAR.encode())
    for reader in readers[-1:] if fleet in ("mixed", "stale") else ():
        found.append(
            reader.away("no logs from here: cannot reach 10.0.0.9: no answer in time; asked again until it answers")
        )
    return sorted(found)


class FakeLogs:
    """Logs that come when they are told to."""

    def __init__(self, lines: Sequence[LogLine] = ()) -> None:
        self.nodes: tuple[NodeName, ...] = ()
        self.lines = list(lines)
        self.skipped = 0
        self.started = self.stopped = False

    def __call__(self, nodes: Sequence[NodeName]) -> FakeLogs:
        self.nodes = tuple(nodes)
        return self

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.stopped = True

    def take(self) -> tuple[list[LogLine], int]:
        found, self.lines = self.lines, []
        skipped, self.skipped = self.skipped, 0
        return found, skipped


def whole(
    view: FleetView,
    folder: Path,
    *,
    runs: RunList | None = None,
    logs: FakeLogs | None = None,
    traffic: TrafficSource | None = None,
    unicode: bool = True,
    reads_only: bool = False,
    clock: FakeClock | None = None,
) -> tuple[FleetTop, Done]:
    """The application with every screen."""
    done = Done()
    app = FleetTop(
        Shown(view),
        clock=clock or FakeClock(NOW),
        history=Remembered(),
        told=Written(),
        runs=lambda: runs or RunList(RunStore(folder / "runs")),
        logs=logs or FakeLogs(),
        traffic=traffic,
        exports=folder / "exports",
        actions=None if reads_only else done,
        unicode=unicode,
    )
    return app, done
