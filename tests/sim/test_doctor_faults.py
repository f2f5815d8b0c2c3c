"""The trouble that doctor looks for can be planted in a simulated Mac, in the words of a real one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleet.sim.faults import parse_fault
from fleet.sim.launchd.conditions import Conditions
from fleet.sim.node import SimNode
from fleet.sim.ports import free_port
from fleet.sim.tree import NodeTree
from fleet.vocabulary.macos.disks import parse_df_kp
from fleet.vocabulary.macos.firewall import parse_block_all, parse_firewall
from fleet.vocabulary.macos.sysctl import parse_boottime, parse_sysctl

SAMPLES = Path(__file__).parents[1] / "samples" / "system"


@pytest.fixture
async def node(tree: NodeTree) -> AsyncIterator[SimNode]:
    port = free_port()
    made = SimNode(tree, ssh_port=port, marker=tree.said("marker") or "", conditions=Conditions(throttle_scale=0.02))
    await made.start()
    yield made
    await made.stop()


async def out(node: SimNode, name: str, *words: str) -> str:
    """What a command prints."""
    process = await asyncio.create_subprocess_exec(
        str(node.tree.bin / name), *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    return (await process.communicate())[0].decode()


async def plant(node: SimNode, *faults: str) -> None:
    for fault in faults:
        await node.inject(parse_fault(fault))


async def test_room_on_disk_is_what_the_fault_says_until_it_is_cleared(node: SimNode) -> None:
    at_first = parse_df_kp(await out(node, "df", "-kP", "/"))
    await plant(node, "free=5GB")
    low = parse_df_kp(await out(node, "df", "-kP", "/"))
    await node.clear("free")
    assert at_first is not None
    assert low is not None
    assert (low.mount, low.available_bytes) == ("/System/Volumes/Data", 5 * 1024**3)
    assert low.total_bytes == at_first.total_bytes
    assert parse_df_kp(await out(node, "df", "-kP", "/")) == at_first


@pytest.mark.parametrize(("fault", "seconds"), [("clock=+90", 90), ("clock=-3600", -3600)])
async def test_the_clock_is_off_in_epoch_seconds_and_nowhere_else(node: SimNode, fault: str, seconds: int) -> None:
    await plant(node, fault)
    assert abs(int(await out(node, "date", "+%s")) - time.time() - seconds) < 30
    assert await out(node, "date", "-u", "+%Y") == time.strftime("%Y\n", time.gmtime())


async def test_closed_connections_are_as_many_as_the_fault_says(node: SimNode) -> None:
    await plant(node, "time-wait=321")
    said = await out(node, "netstat", "-an", "-p", "tcp")
    assert said.startswith("Active Internet connections (including servers)\nProto Recv-Q")
    assert said.count(" TIME_WAIT\n") == 321


async def test_the_firewall_says_what_a_real_one_said(node: SimNode) -> None:
    assert parse_firewall(await out(node, "socketfilterfw", "--getglobalstate")) is False
    await plant(node, "firewall=on")
    for option, sample in (("--getglobalstate", "getglobalstate-on"), ("--getblockall", "getblockall-off")):
        recorded = (SAMPLES / f"socketfilterfw-{sample}-real.txt").read_text()
        assert (await out(node, "socketfilterfw", option)).strip() == recorded.strip()
    await plant(node, "firewall=block")
    assert parse_firewall(await out(node, "socketfilterfw", "--getglobalstate")) is True
    assert parse_block_all(await out(node, "socketfilterfw", "--getblockall")) is True


async def test_updates_are_off_until_the_fault_turns_them_on(node: SimNode) -> None:
    key = ("read", "/Library/Preferences/com.apple.SoftwareUpdate", "AutomaticallyInstallMacOSUpdates")
    assert await out(node, "defaults", *key) == "0\n"
    await plant(node, "updates")
    assert await out(node, "defaults", *key) == "1\n"
    assert await out(node, "defaults", "read", "com.apple.finder", "x") == ""


async def test_a_long_uptime_ends_with_a_restart(node: SimNode) -> None:
    async def up_days() -> float:
        boot = parse_boottime(parse_sysctl(await out(node, "sysctl", "kern.boottime")).get("kern.boottime"))
        assert boot is not None
        return (time.time() - boot) / 86400

    await plant(node, "uptime=60")
    assert 59.9 < await up_days() < 60.1
    await plant(node, "reboot")
    assert await up_days() < 0.1
    assert node.faults == {}
