"""The commands of macOS whose text stands in for a call: by name, path and arguments. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fleet.vocabulary.argv import Argv
from fleet.vocabulary.macos.notifyutil import THERMAL_KEY

SYSCTLS = (
    "hw.memsize",
    "hw.model",
    "hw.pagesize",
    "iogpu.wired_limit_mb",
    "kern.boottime",
    "kern.memorystatus_level",
    "kern.memorystatus_vm_pressure_level",
    "kern.osproductversion",
    "machdep.cpu.brand_string",
    "vm.swapusage",
)
"""What the macOS reader reads. `sysctl -i` passes over those that a kernel lacks."""
COMMANDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ioreg": ("/usr/sbin/ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator"),
        "notifyutil": ("/usr/bin/notifyutil", "-g", THERMAL_KEY),
        "sysctl": ("/usr/sbin/sysctl", "-i", *SYSCTLS),
        "vm_stat": ("/usr/bin/vm_stat",),
    }
)


def command(name: str, paths: Mapping[str, str]) -> Argv:
    """How to run `name`; `paths` says where it lies on this node, if not where macOS has it."""
    path, *arguments = COMMANDS[name]
    return Argv.of(paths.get(name) or path, *arguments)
