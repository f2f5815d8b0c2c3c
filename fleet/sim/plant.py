"""Faults that are nothing but files: what a node's commands print and what its agent reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fleet.sim.faults import bytes_of, is_part
from fleet.sim.hardware import BUILDS, DISK_BYTES, DISK_FREE_BYTES, Hardware
from fleet.sim.readings import WIRED_LIMIT, Readings
from fleet.sim.tree import NodeTree

ENDED_BY_BOOT = ("uptime", "wired-limit", "zombie")
"""A boot sets the boot time and the wired limit anew, and every process is another one."""
PUT_AGAIN_AT_BOOT = ("headroom", "swap-rate", "loading", "decode")
"""What is reckoned from what a boot sets anew, and what stands still while the machine is off."""
_FORMER_LIMIT = "wired-limit"
"""The state file with the limit of the fault, and the one that was there before."""


def plant(tree: NodeTree, readings: Readings, name: str, value: str | None) -> bool:
    """Make a lasting fault so, or not so (None); whether it is one of these."""
    match name:
        case "thermal":
            readings.put_thermal(value or "0")
        case "pressure":
            readings.put_pressure(int(value or 1))
        case "swap":
            readings.put_swap(bytes_of(value or "0"))
        case "headroom":
            readings.put_headroom(bytes_of(value) if value else None)
        case "wired-limit":
            _put_wired_limit(tree, readings, value)
        case "disk":
            readings.put_disk(_room_bytes(value) if value else DISK_FREE_BYTES)
        case "clock":
            readings.put_clock(int(value or 0))
        case "uptime":
            readings.put_boottime(datetime.now(UTC) - timedelta(days=int(value or 0)))
        case "noise" | "disk-full" | "time-wait" | "firewall" | "updates":
            tree.say(name, value) if value else tree.forget(name)
        case "sudo":
            tree.say("sudo", value or "nopasswd")
        case "filevault":
            tree.say("filevault", "On" if value == "on" else "Off")
        case "os":
            _put_os(tree, readings, value)
        case _:
            return False
    return True


def _room_bytes(value: str) -> int:
    """`0.04` of the disk, or a size."""
    return int(float(value) * DISK_BYTES) if is_part(value) else bytes_of(value)


def _put_wired_limit(tree: NodeTree, readings: Readings, value: str | None) -> None:
    """Another limit until it is cleared, set again by somebody, or the machine restarts."""
    before = tree.said(_FORMER_LIMIT)
    now = readings.sysctl().get(WIRED_LIMIT, "0")
    if value is None:
        was_put, _, former = (before or "").partition(" ")
        if former and now == was_put:
            readings.put_sysctl({WIRED_LIMIT: former})
        tree.forget(_FORMER_LIMIT)
        return
    limit = str(bytes_of(value) // 1024**2)
    former = before.partition(" ")[2] if before else now
    tree.say(_FORMER_LIMIT, f"{limit} {former}")
    readings.put_sysctl({WIRED_LIMIT: limit})


def _put_os(tree: NodeTree, readings: Readings, value: str | None) -> None:
    version, _, build = (value or Hardware().os_version).partition(":")
    build = build or BUILDS.get(version, "25Z999")
    tree.say("os", version, build)
    readings.put_sysctl({"kern.osproductversion": version, "kern.osversion": build})
