"""What the node says of itself in its first frame. Whatever cannot be read is None, never 0."""

from __future__ import annotations

import os
import sys

from fleet.node.sync.machine import Machine
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.macos.digits import whole
from fleet.vocabulary.macos.sysctl import parse_boottime, parse_sysctl
from fleet.vocabulary.macos.system import parse_fdesetup, parse_sw_vers

_KEYS = (
    "hw.model",
    "hw.machine",
    "hw.memsize",
    "hw.pagesize",
    "hw.perflevel0.physicalcpu",
    "hw.perflevel1.physicalcpu",
    "iogpu.wired_limit_mb",
    "kern.bootsessionuuid",
    "kern.boottime",
    "kern.osversion",
    "machdep.cpu.brand_string",
    "sysctl.proc_translated",
)


def collect_facts(machine: Machine) -> Facts:
    """One look at the machine. Never raises."""
    values = kernel_values(machine)
    version = parse_sw_vers(machine.command("sw_vers").out)
    boot = parse_boottime(values.get("kern.boottime"))
    translated = values.get("sysctl.proc_translated")
    node = os.uname()
    return Facts(
        hostname=node.nodename or None,
        os_version=version.version,
        os_build=version.build,
        hardware_model=values.get("hw.model"),
        chip=values.get("machdep.cpu.brand_string"),
        arch=values.get("hw.machine") or node.machine or None,
        memory_bytes=whole(values.get("hw.memsize")),
        page_size_bytes=whole(values.get("hw.pagesize")),
        performance_cores=whole(values.get("hw.perflevel0.physicalcpu")),
        efficiency_cores=whole(values.get("hw.perflevel1.physicalcpu")),
        wired_limit_mb=whole(values.get("iogpu.wired_limit_mb")),
        translated={"0": False, "1": True}.get(translated or ""),
        boot_time_seconds=None if boot is None else int(boot),
        boot_id=values.get("kern.bootsessionuuid"),
        filevault=parse_fdesetup(machine.command("fdesetup", "status").out),
        python_version=".".join(map(str, sys.version_info[:3])),
        disk_total_bytes=machine.disk.total_bytes(machine.layout.root),
        disk_free_bytes=machine.disk.free_bytes(machine.layout.root),
    )


def boot_id(machine: Machine) -> str | None:
    """What names this boot; another one after every restart of the machine."""
    return kernel_values(machine).get("kern.bootsessionuuid")


def os_build(machine: Machine) -> str | None:
    """The build of macOS that was started."""
    return kernel_values(machine).get("kern.osversion")


def kernel_values(machine: Machine) -> dict[str, str]:
    """What sysctl says of all that facts want to know: as it was when this process first asked."""
    return parse_sysctl(machine.host.lasting((machine.layout.command("sysctl"), *_KEYS)).out)
