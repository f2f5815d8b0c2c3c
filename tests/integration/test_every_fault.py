"""Every fault of a simulated fleet: state, text and advice in `fleet status` in its time, and the way back.

Agents, gateways, sidecars, SSH and the faults are as real as the simulation is; the minutes pass by a clock of our own,
once in each story.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from fleet.vocabulary.contracts.snapshot import ServiceReading, Snapshot
from fleet.vocabulary.health.state import Fault
from fleet.vocabulary.health.table import CHECKS
from fleet.vocabulary.units import MIB
from tests.integration.conftest import Room
from tests.integration.lookout import Lookout, Row, lookout

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("room"), pytest.mark.timeout(300)]

SIDECAR = "org.fleet-macs.sidecar.chat"
LESS_WORK = "fleet drain mac-2; then give its model less context, or move one away"
Views = Mapping[float, Mapping[str, Row]]
"""What was seen, by the seconds since the story began."""


@pytest.fixture(scope="module")
def watch(room: Room, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lookout]:
    """Somebody who watches the room."""
    with lookout(room, tmp_path_factory.mktemp("watch")) as watching:
        for node in watching.nodes:
            watching.plant(node, "uptime=1")  # a restart within a minute of another one is none
            watching.until_snapshot(node, is_well)
        at_first = watching.look()
        assert {row["health"] for row in at_first.values()} == {"ok"}, at_first
        yield watching


def is_well(seen: Snapshot) -> bool:
    """Whether everything runs, and is known to."""
    cars = all(car.ready for car in seen.sidecars)
    return cars and all(one.up for one in seen.services) and seen.swap.swapout_bytes_per_second is not None


def concerns(row: Row) -> dict[str, dict[str, Any]]:
    """What is wrong on a node, by check."""
    return {concern["code"]: concern for concern in row["concerns"]}


# --- the machine ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A fault of the machine itself, and what people are told of it."""

    node: str = "mac-2"
    fault: str
    check: str
    health: str
    says: str
    do: str = LESS_WORK


MACHINE = [
    Trouble(
        fault="thermal=2",
        check="thermal",
        health="warn",
        says="thermal pressure is heavy: it throttles",
        do="fleet drain mac-2 lets it cool; look at its fans, room and load",
    ),
    Trouble(fault="pressure=4", check="memory_pressure", health="critical", says="memory pressure is critical"),
    Trouble(
        fault="headroom=512MiB",
        check="wired_headroom",
        health="warn",
        says="only 512 MiB left under the GPU wired limit",
    ),
    Trouble(fault="swap-rate=400MiB", check="swapping", health="warn", says="swapping out "),
    Trouble(
        fault="disk=0.04",
        check="disk_free",
        health="critical",
        says="only 37.3 GiB of 931 GiB left on /",
        do="fleet exec --on mac-2 -- df -h shows what is full",
    ),
    Trouble(
        node="mac-3",
        fault="clock=+90",
        check="clock_skew",
        health="critical",
        says="ahead of this one",
        do="fleet doctor mac-3 says how to set it; let macOS set the time automatically",
    ),
]
SHOWS = (0.0, 9.0, 10.0, 29.0, 30.0)
GOES = (0.0, 29.0, 30.0, 59.0, 60.0)


@dataclass(frozen=True, kw_only=True)
class Story:
    """What was seen while trouble lasted, and once it was over."""

    on: Views
    off: Views


@dataclass(frozen=True, kw_only=True)
class MachineStory(Story):
    """With what the command itself printed while trouble lasted: a first look, so everything at once."""

    printed: Mapping[str, Row]


def swaps(watching: Lookout) -> bool:
    seen = watching.snapshot("mac-2")
    return seen is not None and (seen.swap.swapout_bytes_per_second or 0) > 50 * MIB


def swaps_no_more(watching: Lookout) -> bool:
    seen = watching.snapshot("mac-2")
    return seen is not None and seen.swap.swapout_bytes_per_second == 0


def looks(watching: Lookout, times: tuple[float, ...], settled: Any) -> Views:
    found, last = {}, 0.0
    for at in times:
        found[at] = watching.look(after_seconds=at - last, settled=settled)
        last = at
    return found


@pytest.fixture(scope="module")
def machine(watch: Lookout) -> MachineStory:
    """Everything at once on mac-2, a wrong clock and a model that loads on mac-3, nothing on mac-1."""
    faults = [trouble.fault for trouble in MACHINE if trouble.node == "mac-2"]
    watch.plant("mac-2", *faults)
    watch.plant("mac-3", "loading=2GiB")
    watch.skew("mac-3", 90)
    watch.until_snapshot("mac-2", lambda seen: (seen.disks[0].free_bytes or 0) < 50 * 10**9)
    on = looks(watch, SHOWS, lambda: swaps(watch))
    printed = json.loads(watch.room.fleet("status", "--json", expect=1).stdout)
    watch.clear("mac-2", *(fault.partition("=")[0] for fault in faults))
    watch.skew("mac-3", 0)
    watch.until_snapshot("mac-2", lambda seen: (seen.disks[0].free_bytes or 0) > 50 * 10**9)
    off = looks(watch, GOES, lambda: swaps_no_more(watch))
    watch.clear("mac-3", "loading")
    return MachineStory(on=on, off=off, printed={row["node"]: row for row in printed["rows"]})


@pytest.mark.parametrize("trouble", MACHINE, ids=lambda trouble: trouble.check)
def test_trouble_of_the_machine_is_shown_in_its_time_with_what_to_do(machine: MachineStory, trouble: Trouble) -> None:
    shows_after = CHECKS[trouble.check].visible_after_seconds
    for at, rows in machine.on.items():
        assert (trouble.check in concerns(rows[trouble.node])) == (at >= shows_after), at
    for rows in (machine.on[SHOWS[-1]], machine.printed):
        concern = concerns(rows[trouble.node])[trouble.check]
        assert concern["health"] == trouble.health
        assert trouble.says in concern["text"]
        assert concern["hint"] == trouble.do
        assert concern["next"] == CHECKS[trouble.check].next


@pytest.mark.parametrize("trouble", MACHINE, ids=lambda trouble: trouble.check)
def test_trouble_of_the_machine_goes_in_its_time(machine: MachineStory, trouble: Trouble) -> None:
    goes_after = CHECKS[trouble.check].hold_down_seconds
    for at, rows in machine.off.items():
        concern = concerns(rows[trouble.node]).get(trouble.check)
        assert (concern is not None) == (at < goes_after), at
        assert concern is None or concern["gone_since"] is not None


def test_a_node_is_as_sick_as_its_worst_trouble_and_no_other_node_is(machine: MachineStory) -> None:
    sick = machine.on[SHOWS[-1]]
    assert {name: row["health"] for name, row in sick.items()} == {
        "mac-1": "ok",
        "mac-2": "critical",
        "mac-3": "critical",
    }
    assert sick["mac-2"]["concerns"][0]["health"] == "critical"
    assert {row["health"] for row in machine.off[GOES[-1]].values()} == {"ok"}


def test_loading_a_model_never_looks_like_a_swap_storm(machine: MachineStory) -> None:
    seen = [row for views in (machine.on, machine.off) for rows in views.values() for row in (rows["mac-3"],)]
    assert all("swapping" not in concerns(row) for row in seen)
    assert not any(row["swapout_bytes_per_second"] for row in seen)
    assert max(row["swap_used_bytes"] for row in seen) == 0


# --- services ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def services(watch: Lookout, machine: MachineStory) -> Story:
    """A sidecar that crashes on mac-2, one that is a zombie on mac-3; then one that launchd puts off on mac-2."""
    watch.plant("mac-2", "crash=sidecar")
    watch.plant("mac-3", "zombie=sidecar")
    before = watch.service("mac-2", SIDECAR)["runs"]
    watch.until_snapshot("mac-2", lambda seen: (sidecar(seen).runs or 0) >= before + 3)
    watch.until_snapshot("mac-3", lambda seen: seen.sidecars[0].live is False)
    on = looks(watch, (0.0, 4.0, 5.0), lambda: True)
    watch.clear("mac-2", "crash")
    os.kill(watch.service("mac-3", SIDECAR)["pid"], signal.SIGTERM)
    for node in ("mac-2", "mac-3"):
        watch.until_snapshot(node, is_well)
    off = looks(watch, (0.0,), lambda: True)
    return Story(on=on, off=off)


def sidecar(seen: Snapshot) -> ServiceReading:
    return next(service for service in seen.services if service.label == SIDECAR)


def test_a_crash_loop_is_shown_at_once_and_stays_for_ten_minutes(services: Story) -> None:
    concern = concerns(services.on[0.0]["mac-2"])["crash_loop"]
    assert concern["health"] == "critical"
    assert concern["text"].startswith("sidecar.chat crashes again and again: ")
    assert concern["text"].endswith(" times in 10 minutes, last exit 1")
    assert concern["next"] == "launchd goes on starting it, at most every 10 s"
    assert concern["hint"] == "fleet logs mac-2 sidecar.chat"
    assert {"service_down", "sidecar_dead"}.isdisjoint(concerns(services.on[5.0]["mac-2"]))
    assert "crash_loop" in concerns(services.off[0.0]["mac-2"])


def test_a_zombie_sidecar_is_shown_after_5_seconds_and_gone_once_it_was_restarted(services: Story) -> None:
    shown = {at: "sidecar_dead" in concerns(rows["mac-3"]) for at, rows in services.on.items()}
    assert shown == {0.0: False, 4.0: False, 5.0: True}
    concern = concerns(services.on[5.0]["mac-3"])["sidecar_dead"]
    assert (concern["health"], concern["subject"]) == ("critical", "sidecar.chat")
    assert concern["text"] == "scripted does not answer: no answer within 3 s"
    assert concern["next"] == "its gateway gives it no work until it answers"
    assert concern["hint"] == "fleet logs mac-3 sidecar.chat"
    assert "sidecar_dead" not in concerns(services.off[0.0]["mac-3"])


@pytest.fixture(scope="module")
def pended(watch: Lookout, services: Story) -> Story:
    """A sidecar that ends, and whose start launchd puts off; then the advice is followed."""
    watch.plant("mac-3", "pended=inefficient")
    os.kill(watch.service("mac-3", SIDECAR)["pid"], signal.SIGKILL)
    watch.until_snapshot("mac-3", lambda seen: sidecar(seen).pended)
    on = looks(watch, (0.0, 4.0, 5.0), lambda: True)
    watch.clear("mac-3", "pended")
    watch.deploy("mac-3")
    watch.until_snapshot("mac-3", is_well)
    return Story(on=on, off=looks(watch, (0.0,), lambda: True))


def test_a_pended_spawn_is_shown_after_5_seconds_and_a_deploy_starts_it(pended: Story) -> None:
    shown = {at: "service_pended" in concerns(rows["mac-3"]) for at, rows in pended.on.items()}
    assert shown == {0.0: False, 4.0: False, 5.0: True}
    concern = concerns(pended.on[5.0]["mac-3"])["service_pended"]
    assert concern["health"] == "critical"
    assert concern["text"] == "sidecar.chat: launchd puts off its start (inefficient)"
    assert concern["next"] == CHECKS["service_pended"].next
    assert concern["hint"] == "fleet deploy --on mac-3 starts it"
    assert {"service_pended", "service_down", "sidecar_dead"}.isdisjoint(concerns(pended.off[0.0]["mac-3"]))


# --- the machine's life, and the laptop's -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Silence(Story):
    """A story of a node that nobody reaches, with what was told of that by itself."""

    told: Mapping[float, Fault | None]


@pytest.fixture(scope="module")
def power(watch: Lookout, pended: Story) -> Silence:
    """mac-3 is off for more than a minute and comes back; mac-2 panics; then ten minutes pass."""
    watch.look(after_seconds=30)
    watch.away.add("mac-3")
    watch.plant("mac-3", "down")
    on, told, last = {}, {}, 0.0
    for at in (5.0, 59.0, 60.0, 66.0):
        on[at] = watch.look(after_seconds=at - last)
        told[at] = watch.unreachable("mac-3")
        last = at
    watch.clear("mac-3", "down")
    watch.plant("mac-2", "panic")
    watch.away.clear()
    for node in ("mac-2", "mac-3"):
        watch.until_snapshot(node, is_well)
    off = looks(watch, (0.0, *(50.0 * number for number in range(1, 12)), 599.0, 600.0), lambda: True)
    return Silence(on=on, off=off, told=told)


def test_a_node_that_is_down_is_stale_at_once_and_told_after_a_minute(power: Silence) -> None:
    rows = {at: seen["mac-3"] for at, seen in power.on.items()}
    assert {row["reach"] for row in rows.values()} == {"unreachable"}
    assert {at: row["freshness"] for at, row in rows.items()} == {
        5.0: "stale", 59.0: "stale", 60.0: "stale", 66.0: "offline",
    }  # fmt: skip
    assert "refused" in rows[5.0]["problem"]
    assert {at: told is not None for at, told in power.told.items()} == {
        5.0: False, 59.0: False, 60.0: True, 66.0: True,
    }  # fmt: skip
    told = power.told[60.0]
    assert told is not None
    assert told.health == "critical"
    assert told.text.startswith("not reached: ")
    assert told.next == "its work goes to other nodes; what is shown of it is what was seen last"
    assert told.do == "fleet ssh mac-3; if that fails too: is it powered, awake and on the network?"


def test_a_node_that_comes_back_is_live_at_once_and_its_restart_is_told_for_ten_minutes(power: Silence) -> None:
    rows = {at: seen["mac-3"] for at, seen in power.off.items()}
    assert {(row["reach"], row["freshness"]) for row in rows.values()} == {("answered", "live")}
    assert {at for at, row in rows.items() if "rebooted" not in concerns(row)} == {600.0}
    concern = concerns(rows[0.0])["rebooted"]
    assert concern["health"] == "warn"
    assert concern["text"].startswith("it restarted at ")
    assert concern["text"].endswith(" UTC")


def test_a_panic_is_told_with_its_report_for_ten_minutes(power: Silence) -> None:
    rows = {at: seen["mac-2"] for at, seen in power.off.items()}
    assert {at for at, row in rows.items() if "rebooted" not in concerns(row)} == {600.0}
    concern = concerns(rows[0.0])["rebooted"]
    assert concern["health"] == "critical"
    assert " after a kernel panic (panic-full-" in concern["text"]
    assert concern["next"] == "services come back by themselves; with FileVault on, only after somebody unlocks it"
    assert concern["hint"].startswith("fleet doctor mac-2; what panicked once panics again")


def test_after_ten_quiet_minutes_nothing_is_left_of_any_fault(power: Silence) -> None:
    assert {name: concerns(row) for name, row in power.off[600.0].items()} == {"mac-1": {}, "mac-2": {}, "mac-3": {}}


def test_a_laptop_without_a_network_blames_itself_and_no_node(watch: Lookout, power: Silence) -> None:
    assert power.off
    watch.unplug()
    for seconds in (5, 60, 60):
        rows = watch.look(after_seconds=seconds)
        assert watch.laptop_problem == "it has no way out to any network"
        assert [watch.unreachable(name) for name in rows] == [None, None, None]
    assert {(row["reach"], row["freshness"]) for row in rows.values()} == {("unreachable", "offline")}
    watch.cable.plugged = True
    rows = watch.look(after_seconds=5)
    assert watch.laptop_problem == ""
    assert {(row["freshness"], row["health"]) for row in rows.values()} == {("live", "ok")}
    assert [watch.unreachable(name) for name in rows] == [None, None, None]
