"""Rows: freshness, health and reach are three things; unknown is shown as unknown; nobody is left out."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from loopbacklink import a_node

from fleet.control.watch.rows import Seen, Sighting, row_of, view_of
from fleet.control.watch.seen import SeenFiles
from fleet.control.watch.view import FleetView, NodeRow, Reach
from fleet.vocabulary.contracts.snapshot import (
    CollectorReading,
    Memory,
    ServiceReading,
    SidecarReading,
    Snapshot,
    Swap,
    Thermal,
)
from fleet.vocabulary.health.sample import freshness_of
from fleet.vocabulary.names import Freshness, Health, NodeName
from fleet.vocabulary.units import GIB, MIB

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
UP = ServiceReading(name="agent", label="org.fleet-macs.agent", up=True, pid=71, runs=1)


def a_snapshot(**changes) -> Snapshot:
    settings = {
        "node": "mini-1",
        "at_seconds": NOW.timestamp() - 1,
        "agent_version": "0.1.0",
        "readings": "macos",
        "memory": Memory(total_bytes=16 * GIB, pressure_level=1, wired_headroom_bytes=6 * GIB),
        "swap": Swap(used_bytes=0),
        "thermal": Thermal(pressure_level=0),
        "services": (UP,),
    }
    return Snapshot(**{**settings, **changes})


def a_row(snapshot: Snapshot | None = None, *, age: float = 1.0, reach=Reach.ANSWERED, **sighting) -> NodeRow:
    seen = Seen(at=NOW - timedelta(seconds=age), snapshot=snapshot) if snapshot else None
    fresh = seen if reach is Reach.ANSWERED else None
    return row_of(a_node("mini-1"), Sighting(node=NodeName("mini-1"), reach=reach, seen=fresh, **sighting), seen, NOW)


def test_a_well_node_is_ok_and_live():
    row = a_row(a_snapshot())
    assert (row.freshness, row.health, row.problem) == (Freshness.LIVE, Health.OK, None)
    assert (row.services_up, row.services_total, row.groups) == (1, 1, ("mlx",))


def test_a_node_that_was_never_seen_has_a_row():
    row = a_row(reach=Reach.UNREACHABLE, problem="no route")
    assert (row.freshness, row.health, row.problem) == (Freshness.NEVER_SEEN, Health.UNKNOWN, "no route")
    assert row.age_seconds is None


@pytest.mark.parametrize(
    ("age", "reach", "freshness"),
    [
        (2, Reach.ANSWERED, Freshness.LIVE),
        (16, Reach.ANSWERED, Freshness.STALE),
        (61, Reach.ANSWERED, Freshness.OFFLINE),
        (2, Reach.UNREACHABLE, Freshness.STALE),
        (240, Reach.UNREACHABLE, Freshness.OFFLINE),
        (None, Reach.ANSWERED, Freshness.NEVER_SEEN),
    ],
)
def test_freshness_is_the_age_of_what_is_known(age, reach, freshness):
    assert freshness_of(age, answered=reach is Reach.ANSWERED) is freshness


def test_an_unreachable_node_shows_what_was_seen_last():
    row = a_row(a_snapshot(), age=240, reach=Reach.UNREACHABLE, problem="no answer in time", hint="is it awake?")
    assert (row.freshness, row.age_seconds, row.services_up) == (Freshness.OFFLINE, 240, 1)
    assert (row.problem, row.hint) == ("no answer in time", "is it awake?")


def test_a_silent_agent_is_critical_even_when_all_was_well():
    row = a_row(a_snapshot(), reach=Reach.AGENT_SILENT, problem="connection refused")
    assert row.health is Health.CRITICAL
    assert row.concerns[0].text == "the agent is silent: connection refused"


DOWN = ServiceReading(
    name="sidecar.chat", label="l", up=False, state="spawn scheduled", runs=7, last_exit="78: EX_CONFIG"
)
BACK = ServiceReading(
    name="sidecar.chat",
    label="l",
    up=True,
    state="running",
    runs=2,
    last_exit="Killed: 9",
    started_at_seconds=NOW.timestamp() - 60,
)
PENDED = ServiceReading(name="gateway", label="l", up=False, state="not running", pended="speculative")


@pytest.mark.parametrize(
    ("changes", "code", "health", "text"),
    [
        (
            {"services": (DOWN,)},
            "service_down",
            Health.CRITICAL,
            "sidecar.chat is down: spawn scheduled, last exit 78: EX_CONFIG, 7 runs",
        ),
        (
            {"services": (BACK,)},
            "service_restarted",
            Health.WARN,
            "sidecar.chat ended and was started again: last exit Killed: 9, 2 runs",
        ),
        (
            {"services": (PENDED,)},
            "service_pended",
            Health.CRITICAL,
            "gateway: launchd puts off its start (speculative)",
        ),
        (
            {"services": (ServiceReading(name="x", label="l"),)},
            "service_unknown",
            Health.UNKNOWN,
            "x: launchd's answer could not be read",
        ),
        (
            {"sidecars": (SidecarReading(name="chat", model="m", port=1, live=False, problem="Connection refused"),)},
            "sidecar_dead",
            Health.CRITICAL,
            "m does not answer: Connection refused",
        ),
        (
            {"sidecars": (SidecarReading(name="chat", model="m", port=1, live=True, ready=False),)},
            "sidecar_not_ready",
            Health.CRITICAL,
            "m answers, but generates nothing",
        ),
        (
            {"sidecars": (SidecarReading(name="chat", model="m", port=1, live=True),)},
            "sidecar_warming_up",
            Health.UNKNOWN,
            "m is not proved ready yet",
        ),
        ({"memory": Memory(pressure_level=2)}, "memory_pressure", Health.WARN, "memory pressure is high"),
        ({"memory": Memory(pressure_level=4)}, "memory_pressure", Health.CRITICAL, "memory pressure is critical"),
        (
            {"memory": Memory(wired_headroom_bytes=512 * MIB)},
            "wired_headroom",
            Health.WARN,
            "only 512 MiB left under the GPU wired limit",
        ),
        ({"swap": Swap(swapout_bytes_per_second=310.0 * MIB)}, "swapping", Health.WARN, "swapping out 310 MiB/s"),
        ({"thermal": Thermal(pressure_level=2)}, "thermal", Health.WARN, "thermal pressure is heavy: it throttles"),
        (
            {"thermal": Thermal(pressure_level=4)},
            "thermal",
            Health.CRITICAL,
            "thermal pressure is sleeping: it throttles",
        ),
        (
            {"collectors": (CollectorReading(name="memory", ok=False, seconds=0.1, problem="no"),)},
            "collector",
            Health.WARN,
            "the agent cannot read memory: no",
        ),
    ],
)
def test_what_is_wrong_is_said(changes, code, health, text):
    (concern,) = a_row(a_snapshot(**changes)).concerns
    assert (concern.code, concern.health, concern.text) == (code, health, text)


@pytest.mark.parametrize(
    "changes",
    [
        {"memory": Memory()},
        {"thermal": Thermal()},
        {"thermal": Thermal(pressure_level=1)},
        {"swap": Swap(used_bytes=9 * GIB)},
        {"swap": Swap(swapin_bytes_per_second=9.0 * GIB)},
    ],
)
def test_unknown_readings_and_swap_in_use_are_no_concern(changes):
    assert a_row(a_snapshot(**changes)).concerns == ()


@pytest.mark.parametrize(
    "change",
    [
        {"started_at_seconds": NOW.timestamp() - 601},
        {"started_at_seconds": None},
        {"last_exit": "Terminated: 15"},
        {"last_exit": "0"},
        {"runs": 1},
    ],
)
def test_a_restart_long_ago_or_in_good_order_is_no_concern(change):
    assert a_row(a_snapshot(services=(msgspec.structs.replace(BACK, **change),))).concerns == ()


def test_a_dead_sidecar_is_named_once():
    car = SidecarReading(name="chat", model="m", port=1, live=False)
    row = a_row(a_snapshot(services=(DOWN,), sidecars=(car,)))
    assert [concern.code for concern in row.concerns] == ["service_down"]


def rows(*pairs) -> FleetView:
    return FleetView(
        at=NOW, rows=tuple(NodeRow(node=NodeName(str(i)), reach=r, health=h) for i, (r, h) in enumerate(pairs))
    )


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([(Reach.ANSWERED, Health.OK), (Reach.ANSWERED, Health.WARN)], 0),
        ([(Reach.ANSWERED, Health.OK), (Reach.ANSWERED, Health.CRITICAL)], 1),
        ([(Reach.AGENT_SILENT, Health.CRITICAL)], 1),
        ([(Reach.ANSWERED, Health.CRITICAL), (Reach.UNREACHABLE, Health.UNKNOWN)], 3),
        ([(Reach.ANSWERED, Health.OK), (Reach.NOT_ADOPTED, Health.UNKNOWN)], 3),
        ([(Reach.UNREACHABLE, Health.UNKNOWN), (Reach.NOT_ADOPTED, Health.UNKNOWN)], 4),
    ],
)
def test_exit_codes(pairs, code):
    assert rows(*pairs).exit_code == code


def test_rows_come_in_the_order_of_the_inventory_and_nobody_is_left_out():
    view = view_of([a_node("b"), a_node("a")], {}, {}, NOW)
    assert [row.node for row in view.rows] == ["b", "a"]
    assert all(row.freshness is Freshness.NEVER_SEEN for row in view.rows)


def test_what_was_seen_survives_a_restart(tmp_path):
    seen = Seen(at=NOW, snapshot=a_snapshot())
    SeenFiles(tmp_path / "seen").save(NodeName("mini-1"), seen)
    assert SeenFiles(tmp_path / "seen").load(NodeName("mini-1")) == seen
    assert SeenFiles(tmp_path / "seen").load(NodeName("mini-2")) is None
    assert [path.name for path in (tmp_path / "seen").iterdir()] == ["mini-1.json"]


def test_a_file_of_a_node_is_written_once_a_minute_and_whoever_writes_it_knows_what_is_newer(tmp_path):
    first, soon, late = (Seen(at=NOW + timedelta(seconds=at), snapshot=a_snapshot()) for at in (0, 59, 60))
    files, others = SeenFiles(tmp_path, every_seconds=60.0), SeenFiles(tmp_path)
    files.save(NodeName("mini-1"), first)
    files.save(NodeName("mini-1"), soon)
    assert (files.load(NodeName("mini-1")), others.load(NodeName("mini-1"))) == (soon, first)
    files.flush()
    assert others.load(NodeName("mini-1")) == soon
    files.save(NodeName("mini-1"), late)
    assert (files.load(NodeName("mini-1")), others.load(NodeName("mini-1"))) == (late, late)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at": 1}', '{"at": "2026-11-22T12:00:00Z", "snapshot": {}}'])
def test_a_kept_file_that_is_broken_is_as_if_it_were_not_there(tmp_path, text):
    (tmp_path / "mini-1.json").write_text(text)
    assert SeenFiles(tmp_path).load(NodeName("mini-1")) is None


def test_a_view_is_json_and_back():
    view = rows((Reach.ANSWERED, Health.OK))
    assert msgspec.json.decode(msgspec.json.encode(view), type=FleetView) == view
