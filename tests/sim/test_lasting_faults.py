"""What moves or hinders while a fault lasts: counters that rise, processes that stand still, services that crash."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from fleet.errors import UsageError
from fleet.node.agent.disks import disk_source
from fleet.node.agent.panics import panic_folder, read_panics
from fleet.node.agent.recorded import RecordedReader
from fleet.node.agent.setup import clock_of
from fleet.sim.brake import NUDGE_SECONDS
from fleet.sim.faults import parse_fault
from fleet.sim.launchd.conditions import Conditions
from fleet.sim.node import SimNode
from fleet.sim.ports import free_port
from fleet.sim.readings import Readings
from fleet.sim.tree import NodeTree
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.units import GIB, MIB
from tests.sim.conftest import Lab, alive, eventually

SIDECAR = "org.example.sidecar.chat"
SERVER = """
import socket, sys
door = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    peer, _ = door.accept()
    peer.sendall(b"here\\n")
    peer.close()
"""


@pytest.fixture
async def node(tree: NodeTree, tmp_path: Path) -> AsyncIterator[SimNode]:
    """A node with one sidecar: a real process that answers every connection."""
    lab = Lab(tmp_path)
    (tmp_path / "server.py").write_text(SERVER)
    script = f"exec {tree.said('python')} {tmp_path / 'server.py'} {port_of(tree)}"
    plist = lab.plist(script, SIDECAR, KeepAlive=True)
    plist.replace(tree.daemons / plist.name)
    made = simulated(tree)
    await made.start()
    await eventually(lambda: answers(tree))
    yield made
    await made.stop()


def simulated(tree: NodeTree) -> SimNode:
    port = free_port()
    quick = Conditions(throttle_scale=0.01, exit_scale=0.1)
    return SimNode(tree, ssh_port=port, marker=tree.said("marker") or "", conditions=quick)


def port_of(tree: NodeTree) -> int:
    port = free_port()
    (tree.path / "port").write_text(str(port))
    return port


def answers(tree: NodeTree, within_seconds: float = 0.3) -> bool:
    """Whether the sidecar takes a connection and says something on it."""
    try:
        with socket.create_connection(("127.0.0.1", int((tree.path / "port").read_text())), timeout=5) as peer:
            peer.settimeout(within_seconds)
            return peer.recv(5) == b"here\n"
    except OSError:
        return False


def agent_of(tree: NodeTree) -> RecordedReader:
    return RecordedReader(tree.readings)


async def plant(node: SimNode, *faults: str) -> None:
    for fault in faults:
        await node.inject(parse_fault(fault))


async def test_a_swap_storm_goes_on_until_it_is_cleared(node: SimNode) -> None:
    def swapped() -> int:
        return agent_of(node.tree).swap().swapouts_bytes_total or 0

    await plant(node, "swap-rate=1GiB")
    await plant(node, "swap-rate=1GiB")
    await eventually(lambda: swapped() > 256 * MIB)
    first = swapped()
    await eventually(lambda: swapped() > first)
    assert (agent_of(node.tree).swap().used_bytes or 0) > 0
    await node.clear("swap-rate")
    last = swapped()
    await asyncio.sleep(0.6)
    assert swapped() == last > first
    assert agent_of(node.tree).swap().used_bytes == 0


async def test_loading_a_model_reads_files_and_swaps_nothing(node: SimNode) -> None:
    before = Readings(node.tree.readings).vm_stat()
    await plant(node, "loading=2GiB")
    await eventually(lambda: Readings(node.tree.readings).vm_stat()["Pageins"] > before["Pageins"] + 20_000)
    after = Readings(node.tree.readings).vm_stat()
    assert {name for name in before if before[name] != after[name]} == {"Pageins"}


async def test_headroom_is_what_is_left_under_the_limit_that_there_is(node: SimNode) -> None:
    at_rest = Readings(node.tree.readings).vm_stat()
    Readings(node.tree.readings).put_sysctl({"iogpu.wired_limit_mb": "16384"})
    await plant(node, "headroom=512MiB")
    memory = agent_of(node.tree).memory()
    assert memory.wired_headroom_bytes == 512 * MIB
    rows = Readings(node.tree.readings).vm_stat()
    held = sum(rows[f"Pages {kind}"] for kind in ("wired down", "active", "inactive", "free", "speculative"))
    assert held * 16384 < 24 * GIB
    await node.clear("headroom")
    assert Readings(node.tree.readings).vm_stat() == at_rest


async def test_a_lost_wired_limit_comes_back_with_the_end_of_the_fault_and_of_a_boot(node: SimNode) -> None:
    limit = lambda: agent_of(node.tree).memory().wired_limit_bytes  # noqa: E731 (a name for what is asked again)
    Readings(node.tree.readings).put_sysctl({"iogpu.wired_limit_mb": "16384"})
    await plant(node, "wired-limit=0", "wired-limit=0")
    assert limit() is None
    await node.clear("wired-limit")
    assert limit() == 16 * GIB
    await plant(node, "wired-limit=8GiB")
    assert limit() == 8 * GIB
    Readings(node.tree.readings).put_sysctl({"iogpu.wired_limit_mb": "18432"})  # somebody set it again
    await node.clear("wired-limit")
    assert limit() == 18 * GIB
    await plant(node, "wired-limit=8GiB", "reboot")
    assert node.faults == {}


async def test_disk_clock_and_panics_are_what_the_agent_reads_of_them(node: SimNode) -> None:
    readings = f"file:{node.tree.readings}"
    await plant(node, "disk=0.04", "clock=+90")
    disk = disk_source(readings)("/")
    assert disk.free_bytes is not None
    assert disk.total_bytes is not None
    assert 0.039 < disk.free_bytes / disk.total_bytes <= 0.04
    assert 80 < (clock_of(readings).now() - SystemClock().now()).total_seconds() < 91
    assert read_panics(panic_folder(readings)).count == 0
    await plant(node, "panic")
    assert read_panics(panic_folder(readings)).count == 1
    await node.clear()
    assert abs((clock_of(readings).now() - SystemClock().now()).total_seconds()) < 10
    assert (disk_source(readings)("/").free_bytes or 0) > 300 * GIB


async def test_boot_time_and_panic_report_are_of_the_macs_own_clock(node: SimNode) -> None:
    reader = agent_of(node.tree)
    right = reader.boot_time_seconds() or 0
    await plant(node, "clock=+5000", "clock=+5000")
    assert reader.boot_time_seconds() == right + 5000
    await plant(node, "panic")
    boot = reader.boot_time_seconds() or 0
    report = read_panics(panic_folder(reader.name)).newest_at_seconds or 0
    assert right + 5000 <= report <= boot < right + 5060
    await node.clear("clock")
    assert reader.boot_time_seconds() == boot - 5000


async def test_an_older_name_of_a_fault_means_the_same(node: SimNode) -> None:
    await plant(node, "free=5GB")
    assert node.faults == {"disk": "5GB"}
    await node.clear("free")
    assert node.faults == {}


async def test_a_zombie_takes_connections_answers_none_and_a_restart_cures_it(node: SimNode) -> None:
    await plant(node, "zombie", "zombie=sidecar.chat")
    [pid] = node.launchd.pids("sidecar")
    used = psutil.Process(pid).cpu_times()
    assert not await asyncio.to_thread(answers, node.tree)
    await asyncio.sleep(3 * NUDGE_SECONDS)
    assert psutil.Process(pid).cpu_times() == used  # not one instant of it
    os.kill(pid, signal.SIGTERM)
    await eventually(lambda: not alive(pid))
    await eventually(lambda: asyncio.to_thread(answers, node.tree))
    await eventually(lambda: node.faults == {})
    assert json.loads(node.tree.said("faults.json") or "") == {}


async def test_a_zombie_that_is_cleared_is_the_same_process_and_answers(node: SimNode) -> None:
    await plant(node, "zombie")
    before = node.launchd.pids("sidecar")
    await node.clear("zombie")
    assert await asyncio.to_thread(answers, node.tree, 5.0)
    assert node.launchd.pids("sidecar") == before


async def test_nothing_that_does_not_run_can_be_a_zombie(node: SimNode) -> None:
    with pytest.raises(UsageError, match="no process of gateway runs on mac-1"):
        await plant(node, "zombie=gateway")
    assert node.faults == {}


async def test_a_slowed_sidecar_runs_a_part_of_the_time_and_wholly_again(node: SimNode) -> None:
    [pid] = node.launchd.pids("sidecar")
    process = psutil.Process(pid)
    await plant(node, "decode=0.3")
    seen: set[str] = set()

    def look() -> bool:
        seen.add(process.status())
        return {psutil.STATUS_STOPPED, psutil.STATUS_SLEEPING} <= seen

    await eventually(look)
    assert await asyncio.to_thread(answers, node.tree, 5.0)
    await node.clear("decode")
    await eventually(lambda: process.status() != psutil.STATUS_STOPPED)
    assert {process.status() for _ in range(50)} == {psutil.STATUS_SLEEPING}


async def test_a_slowed_sidecar_is_slow_after_a_restart_of_the_simulation_and_after_a_reboot(node: SimNode) -> None:
    await plant(node, "decode=0.1")
    await node.stop()
    again = simulated(node.tree)
    await again.start()
    try:
        for _ in range(2):
            [pid] = again.launchd.pids("sidecar")
            await eventually(lambda pid=pid: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
            await plant(again, "reboot")
        assert again.faults == {"decode": "0.1"}
    finally:
        await again.stop()


async def test_what_crashes_is_started_again_and_again_until_it_may_run(node: SimNode) -> None:
    def runs() -> int:
        return next(view.runs for view in node.launchd.views() if view.spec.label == SIDECAR)

    await plant(node, "crash")
    await eventually(lambda: runs() >= 4)
    view = node.launchd.views()[0]
    assert view.ending is not None
    assert view.ending.line == "last exit code = 1"
    await node.clear("crash")
    await eventually(lambda: asyncio.to_thread(answers, node.tree))
