"""Every trouble that the simulation can make: what people are told of it, when, and the way back.

The readings are those of a simulated Mac, read as its agent reads them; only the clock is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from fleet.node.agent.commands import Output
from fleet.node.agent.recorded import RecordedReader
from fleet.node.agent.sampler import Sampler
from fleet.node.agent.services import reading_of
from fleet.sim.faults import KINDS
from fleet.sim.readings import PAGE_BYTES, Readings
from fleet.sim.tree import make_tree
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.agent import AgentService
from fleet.vocabulary.contracts.snapshot import Disk, Panics, SidecarReading, Snapshot
from fleet.vocabulary.health.sample import Sample, Silence
from fleet.vocabulary.health.state import Fault, NodeState, Transition
from fleet.vocabulary.health.step import faults, step
from fleet.vocabulary.health.table import CHECKS
from fleet.vocabulary.names import Health
from fleet.vocabulary.units import GIB, MIB

TICK_SECONDS = 5.0
RUNNING = "system/l = {\n\tstate = running\n\tpid = 71\n\truns = 1\n\tlast exit code = (never exited)\n}\n"
PENDED = (
    "system/l = {\n\tstate = not running\n\truns = 0\n\tlast exit code = (never exited)\n"
    "\tpended nondemand spawn = inefficient\n}\n"
)
HELD = "system/l = {\n\tstate = spawn scheduled\n\truns = 1\n\tlast exit code = 78: EX_CONFIG\n}\n"
READY = SidecarReading(name="chat", model="smollm2-135m", port=8800, live=True, ready=True)


class SimulatedMac:
    """A Mac of the simulation that is watched every 5 s."""

    def __init__(self, folder: Path) -> None:
        tree = make_tree(folder / "mini-1", marker="test")
        self.clock = FakeClock()
        self.readings = Readings(tree.readings)
        self.boot()
        reader = RecordedReader(tree.readings)
        self.sampler = Sampler(reader, self.clock, node="mini-1", version="0", disks=())
        self.service = RUNNING
        self.sidecar = READY
        self.disk = Disk(mount="/", total_bytes=500 * GIB, free_bytes=200 * GIB)
        self.panics = Panics(count=0)
        self.clock_off_seconds = 0.0
        self.silence: Silence | None = None
        self.each_tick: Callable[[], None] = lambda: None
        self.state, self.told = NodeState(node="mini-1"), list[Transition]()

    def boot(self) -> None:
        self.readings.boot(boot_id="A-B-C", at=self.clock.now())

    def snapshot(self) -> Snapshot:
        taken = self.sampler.sample()
        service = AgentService(name="sidecar.chat", label="l")
        return msgspec.structs.replace(
            taken,
            at_seconds=taken.at_seconds + self.clock_off_seconds,
            services=(reading_of(service, Output(exit_code=0, text=self.service)),),
            sidecars=(self.sidecar,),
            disks=(self.disk,),
            panics=self.panics,
        )

    def watch(self, seconds: float) -> list[Transition]:
        """What was told within these seconds."""
        before = len(self.told)
        for _ in range(max(1, round(seconds / TICK_SECONDS))):
            self.clock.advance(TICK_SECONDS)
            self.each_tick()
            now = self.clock.now().timestamp()
            seen = self.silence or Sample(at_seconds=now, snapshot=self.snapshot())
            self.state, changes = step(self.state, seen, now)
            self.told += changes
        return self.told[before:]

    def faults(self) -> dict[str, Fault]:
        return {fault.check: fault for fault in faults(self.state)}


@pytest.fixture
def mac(tmp_path: Path) -> SimulatedMac:
    mac = SimulatedMac(tmp_path)
    assert mac.watch(60) == []
    return mac


@dataclass(frozen=True, kw_only=True)
class Case:
    """A trouble, what ends it, and what people are told. `fault` is how the simulation spells it, "" = not yet."""

    name: str
    fault: str = ""
    begin: Callable[[SimulatedMac], None]
    end: Callable[[SimulatedMac], None]
    check: str
    health: Health
    says: str
    do: str


def put(**values: object) -> Callable[[SimulatedMac], None]:
    def go(mac: SimulatedMac) -> None:
        for name, value in values.items():
            setattr(mac, name, value)

    return go


def swap_out(mib_per_second: float) -> Callable[[SimulatedMac], None]:
    def grow(mac: SimulatedMac) -> None:
        pages = int(mib_per_second * MIB * TICK_SECONDS) // PAGE_BYTES
        mac.readings.put_vm_stat({"Swapouts": mac.readings.vm_stat().get("Swapouts", 0) + pages})

    return lambda mac: setattr(mac, "each_tick", lambda: grow(mac))


def wired(limit_mb: int) -> Callable[[SimulatedMac], None]:
    return lambda mac: mac.readings.put_sysctl({"iogpu.wired_limit_mb": str(limit_mb)})


LESS = "fleet drain mini-1; then give its model less context, or move one away"
CASES = [
    Case(
        name="thermal",
        fault="thermal",
        begin=lambda mac: mac.readings.put_thermal("2"),
        end=lambda mac: mac.readings.put_thermal("0"),
        check="thermal",
        health=Health.WARN,
        says="thermal pressure is heavy: it throttles",
        do="fleet drain mini-1 lets it cool; look at its fans, room and load",
    ),
    Case(
        name="thermal trapping",
        fault="thermal",
        begin=lambda mac: mac.readings.put_thermal("3"),
        end=lambda mac: mac.readings.put_thermal("missing"),
        check="thermal",
        health=Health.CRITICAL,
        says="thermal pressure is trapping",
        do="fleet drain mini-1 lets it cool",
    ),
    Case(
        name="thermal cannot be read",
        fault="thermal",
        begin=lambda mac: mac.readings.put_thermal("failed"),
        end=lambda mac: mac.readings.put_thermal("0"),
        check="thermal",
        health=Health.UNKNOWN,
        says="thermal pressure could not be read",
        do="fleet logs mini-1 agent",
    ),
    Case(
        name="pressure",
        fault="pressure",
        begin=lambda mac: mac.readings.put_pressure(2),
        end=lambda mac: mac.readings.put_pressure(1),
        check="memory_pressure",
        health=Health.WARN,
        says="memory pressure is high",
        do=LESS,
    ),
    Case(
        name="pressure critical",
        fault="pressure",
        begin=lambda mac: mac.readings.put_pressure(4),
        end=lambda mac: mac.readings.put_pressure(1),
        check="memory_pressure",
        health=Health.CRITICAL,
        says="memory pressure is critical",
        do=LESS,
    ),
    Case(
        name="headroom",
        begin=wired(2048),
        end=wired(16384),
        check="wired_headroom",
        health=Health.WARN,
        says="left under the GPU wired limit",
        do=LESS,
    ),
    Case(
        name="swap storm",
        fault="swap",
        begin=swap_out(310),
        end=put(each_tick=lambda: None),
        check="swapping",
        health=Health.WARN,
        says="swapping out 310 MiB/s",
        do=LESS,
    ),
    Case(
        name="slow decode",
        begin=put(
            sidecar=msgspec.structs.replace(READY, decode_tokens_per_second=20.0, baseline_tokens_per_second=66.0)
        ),
        end=put(sidecar=msgspec.structs.replace(READY, decode_tokens_per_second=60.0, baseline_tokens_per_second=66.0)),
        check="slow_decode",
        health=Health.WARN,
        says="smollm2-135m gives 20.0 tokens/s, on this node usually 66.0",
        do="fleet drain mini-1; fleet logs mini-1 sidecar.chat",
    ),
    Case(
        name="disk",
        begin=put(disk=Disk(mount="/", total_bytes=500 * GIB, free_bytes=9 * GIB)),
        end=put(disk=Disk(mount="/", total_bytes=500 * GIB, free_bytes=90 * GIB)),
        check="disk_free",
        health=Health.CRITICAL,
        says="only 9.0 GiB of 500 GiB left on /",
        do="fleet exec --on mini-1 -- df -h shows what is full",
    ),
    Case(
        name="node down",
        fault="down",
        begin=put(silence=Silence(problem="cannot reach 10.0.0.1 port 22: connection refused")),
        end=put(silence=None),
        check="node_unreachable",
        health=Health.CRITICAL,
        says="not reached: cannot reach 10.0.0.1 port 22: connection refused",
        do="fleet ssh mini-1",
    ),
    Case(
        name="another host key",
        fault="host-key",
        begin=put(silence=Silence(problem="its host key is not the pinned one")),
        end=put(silence=None),
        check="node_unreachable",
        health=Health.CRITICAL,
        says="its host key is not the pinned one",
        do="fleet ssh mini-1",
    ),
    Case(
        name="agent silent",
        begin=put(silence=Silence(agent_only=True, problem="port 8791: connection refused")),
        end=put(silence=None),
        check="agent_silent",
        health=Health.CRITICAL,
        says="the agent is silent: port 8791: connection refused",
        do="fleet logs mini-1 agent",
    ),
    Case(
        name="clock skew",
        begin=put(clock_off_seconds=-40.0),
        end=put(clock_off_seconds=0.0),
        check="clock_skew",
        health=Health.WARN,
        says="its clock is 40.0 s behind this one",
        do="fleet doctor mini-1",
    ),
    Case(
        name="pended spawn",
        fault="pended",
        begin=put(service=PENDED),
        end=put(service=RUNNING),
        check="service_pended",
        health=Health.CRITICAL,
        says="sidecar.chat: launchd puts off its start (inefficient)",
        do="fleet deploy --on mini-1 starts it",
    ),
    Case(
        name="service held down",
        fault="hold",
        begin=put(service=HELD),
        end=put(service=RUNNING.replace("runs = 1", "runs = 2")),
        check="service_down",
        health=Health.CRITICAL,
        says="sidecar.chat is down: spawn scheduled, last exit 78: EX_CONFIG",
        do="fleet logs mini-1 sidecar.chat",
    ),
    Case(
        name="zombie sidecar",
        begin=put(sidecar=msgspec.structs.replace(READY, ready=False, problem="no answer within 60 s")),
        end=put(sidecar=READY),
        check="sidecar_not_ready",
        health=Health.CRITICAL,
        says="smollm2-135m answers, but generates nothing: no answer within 60 s",
        do="fleet drain mini-1; fleet logs mini-1 sidecar.chat",
    ),
]


def lasting(seconds: float) -> float:
    return seconds + 2 * TICK_SECONDS


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_trouble_is_told_in_time_with_what_to_do_and_so_is_its_end(mac: SimulatedMac, case: Case) -> None:
    assert not case.fault or case.fault in KINDS
    if case.check in ("wired_headroom", "slow_decode"):
        case.end(mac)
        mac.watch(TICK_SECONDS)
    check = CHECKS[case.check]
    slack = 60 if case.health is Health.UNKNOWN or case.check == "node_unreachable" else 0
    began = mac.clock.now().timestamp()
    case.begin(mac)
    told = [one for one in mac.watch(lasting(check.visible_after_seconds + slack)) if one.check == case.check]
    assert [(one.before, one.after) for one in told] == [(Health.OK, case.health)]
    assert check.visible_after_seconds <= told[0].at_seconds - began
    assert began <= told[0].began_seconds <= began + TICK_SECONDS
    fault = mac.faults()[case.check]
    assert case.says in fault.text
    assert case.do in fault.do
    assert fault.next or case.health is Health.UNKNOWN
    case.end(mac)
    told = [one for one in mac.watch(lasting(check.hold_down_seconds)) if one.check == case.check]
    assert [(one.before, one.after) for one in told] == [(case.health, Health.OK)]
    assert case.check not in mac.faults()


def test_a_crash_loop_is_told_and_over_ten_minutes_after_the_last_crash(mac: SimulatedMac) -> None:
    for runs in range(2, 5):
        mac.service = RUNNING.replace("runs = 1", f"runs = {runs}").replace("(never exited)", "1")
        mac.watch(15)
    assert mac.faults()["crash_loop"].text.startswith("sidecar.chat crashes again and again: 3 times")
    mac.watch(610)
    assert mac.faults() == {}


@pytest.mark.parametrize(("kind", "health"), [("reboot", Health.WARN), ("panic", Health.CRITICAL)])
def test_a_restart_is_told_for_ten_minutes_and_a_panic_is_worse(mac: SimulatedMac, kind: str, health: Health) -> None:
    assert kind in KINDS
    mac.silence = Silence(problem="connection refused")
    mac.watch(45)
    mac.boot()
    if kind == "panic":
        mac.panics = Panics(count=1, newest_at_seconds=mac.clock.now().timestamp() + 20, newest_name="a.panic")
    mac.silence = None
    assert [(one.check, one.after) for one in mac.watch(10)] == [("rebooted", health)]
    assert ("after a kernel panic (a.panic)" in mac.faults()["rebooted"].text) == (kind == "panic")
    assert "fleet doctor mini-1" in mac.faults()["rebooted"].do
    assert [(one.check, one.after) for one in mac.watch(610)] == [("rebooted", Health.OK)]


def test_a_panic_report_of_last_year_says_nothing_about_a_restart_of_today(mac: SimulatedMac) -> None:
    mac.panics = Panics(count=1, newest_at_seconds=mac.clock.now().timestamp() - 86400 * 365, newest_name="old.panic")
    mac.boot()
    mac.clock.advance(60)
    mac.boot()
    mac.watch(10)
    assert mac.faults()["rebooted"].health is Health.WARN


@pytest.mark.parametrize(
    "quiet",
    [
        lambda mac: mac.readings.put_swap(2 * GIB),
        lambda mac: mac.readings.put_vm_stat({"Pageins": 9_000_000, "Pageouts": 9_000_000}),
        lambda mac: mac.readings.put_thermal("1"),
        lambda mac: mac.readings.put_thermal("missing"),
        lambda mac: setattr(mac, "silence", None),
    ],
    ids=["swap in use", "a model loads", "mild thermal pressure", "nobody publishes the key", "nothing"],
)
def test_what_is_normal_on_a_mac_is_not_told(mac: SimulatedMac, quiet: Callable[[SimulatedMac], None]) -> None:
    quiet(mac)
    assert mac.watch(300) == []


def test_a_laptop_that_was_shut_over_night_finds_the_nodes_as_they_are(mac: SimulatedMac) -> None:
    mac.clock.at += timedelta(hours=8)
    assert mac.watch(60) == []
