"""Readings from a folder of recorded command outputs, read again at every tick: simulation and replay.

`vm_stat.txt`, `sysctl.txt` (`key: value` lines), `thermal.txt` (as notifyutil prints), `ioreg.txt`, `sw_vers.txt`,
`df.txt` (as `df -kP` prints), `DiagnosticReports/` (panics.py), `clock.txt` (seconds that its clock is ahead).
A file that is not there, or says something odd, leaves its values unknown.
"""

from __future__ import annotations

from pathlib import Path

from fleet.node.agent.memory import memory_of, swap_of
from fleet.node.agent.reading import CpuTimes, Machine
from fleet.vocabulary.contracts.snapshot import Memory, Swap
from fleet.vocabulary.macos.digits import whole
from fleet.vocabulary.macos.ioreg import parse_ioreg_accelerators
from fleet.vocabulary.macos.notifyutil import THERMAL_KEY, parse_notify_state, thermal_level
from fleet.vocabulary.macos.sysctl import (
    parse_boottime,
    parse_loadavg,
    parse_percent,
    parse_pressure_level,
    parse_swapusage,
    parse_sysctl,
)
from fleet.vocabulary.macos.system import parse_sw_vers
from fleet.vocabulary.macos.vm_stat import VmStat, parse_vm_stat

_MOST_BYTES = 1024 * 1024


class RecordedReader:
    """Readings from `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        """`file:PATH`."""
        return f"file:{self._folder}"

    def machine(self) -> Machine:
        """From sysctl.txt, and the version of macOS from sw_vers.txt where that is there."""
        values = self._sysctl()
        return Machine(
            os_version=parse_sw_vers(self._text("sw_vers.txt")).version or values.get("kern.osproductversion"),
            chip=values.get("machdep.cpu.brand_string"),
            hardware_model=values.get("hw.model"),
        )

    def boot_time_seconds(self) -> float | None:
        """`kern.boottime` of sysctl.txt."""
        return parse_boottime(self._sysctl().get("kern.boottime"))

    def memory(self) -> Memory:
        """Pages of vm_stat.txt, the rest of sysctl.txt."""
        values = self._sysctl()
        return memory_of(
            self._vm(),
            total_bytes=whole(values.get("hw.memsize")),
            pressure_level=parse_pressure_level(values.get("kern.memorystatus_vm_pressure_level")),
            free_ratio=parse_percent(values.get("kern.memorystatus_level")),
            wired_limit_mb=whole(values.get("iogpu.wired_limit_mb")),
        )

    def swap(self) -> Swap:
        """`vm.swapusage` of sysctl.txt, counters of vm_stat.txt."""
        return swap_of(self._vm(), parse_swapusage(self._sysctl().get("vm.swapusage")))

    def thermal_level(self) -> int | None:
        """thermal.txt."""
        return thermal_level(parse_notify_state(self._text("thermal.txt"), THERMAL_KEY))

    def cpu(self) -> CpuTimes | None:
        """Never known."""
        return None

    def gpu_ratio(self) -> float | None:
        """ioreg.txt."""
        return parse_ioreg_accelerators(self._text("ioreg.txt")).busy_ratio

    def load_1m(self) -> float | None:
        """`vm.loadavg` of sysctl.txt."""
        load = parse_loadavg(self._sysctl().get("vm.loadavg"))
        return load[0] if load else None

    def footprint_bytes(self, pid: int) -> int | None:  # noqa: ARG002 (a recording holds no process)
        """Never known."""
        return None

    def wants(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def feed(self, command: str, text: str) -> None:
        """Nothing is wanted."""

    def _vm(self) -> VmStat:
        return parse_vm_stat(self._text("vm_stat.txt"))

    def _sysctl(self) -> dict[str, str]:
        return parse_sysctl(self._text("sysctl.txt"))

    def _text(self, name: str) -> str:
        try:
            with (self._folder / name).open("rb") as file:
                return file.read(_MOST_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
