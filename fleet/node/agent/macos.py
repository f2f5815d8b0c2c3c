"""Readings of a real Mac: libSystem's bytes as values. No psutil, which has neither pressure nor compressor there.

Where a call fails (FACTS section 9), the text of the command that says the same stands in: the slow tier runs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from fleet.node.agent.libsystem import LibSystem
from fleet.node.agent.memory import memory_of, swap_of
from fleet.node.agent.reading import CpuTimes, Machine
from fleet.node.agent.structs import HOST_CPU_LOAD_INFO, RUSAGE_INFO_V0, TIMEVAL, VM_STATISTICS64, XSW_USAGE
from fleet.vocabulary.contracts.snapshot import Memory, Swap
from fleet.vocabulary.macos.digits import whole
from fleet.vocabulary.macos.ioreg import Accelerators, parse_ioreg_accelerators
from fleet.vocabulary.macos.notifyutil import THERMAL_KEY, parse_notify_state, thermal_level
from fleet.vocabulary.macos.sysctl import PRESSURE_LEVELS, SwapUsage, parse_boottime, parse_swapusage, parse_sysctl
from fleet.vocabulary.macos.vm_stat import VmStat, parse_vm_stat

T = TypeVar("T")

_TICKS_PER_SECOND = 100.0


class MacosReader:
    """Readings by libSystem. The GPU's is the text of `ioreg`, as old as the slow tier's last round."""

    def __init__(self, lib: LibSystem) -> None:
        self._lib = lib
        self._failing: dict[str, set[str]] = {"vm_stat": set(), "sysctl": set(), "notifyutil": set()}
        self._texts: dict[str, str] = {}
        self._accelerators = Accelerators()

    @property
    def name(self) -> str:
        """`macos`."""
        return "macos"

    def machine(self) -> Machine:
        """Version of macOS, chip, model identifier."""
        return Machine(
            os_version=self._text("kern.osproductversion"),
            chip=self._text("machdep.cpu.brand_string"),
            hardware_model=self._text("hw.model"),
        )

    def boot_time_seconds(self) -> float | None:
        """`kern.boottime`."""
        return self._sysctl("kern.boottime", _boottime, parse_boottime)

    def memory(self) -> Memory:
        """Pages by host_statistics64, the rest by sysctl."""
        level = self._number("kern.memorystatus_vm_pressure_level")
        percent = self._number("kern.memorystatus_level")
        return memory_of(
            self._vm(),
            total_bytes=self._number("hw.memsize"),
            pressure_level=level if level in PRESSURE_LEVELS else None,
            free_ratio=percent / 100 if percent is not None and 0 <= percent <= 100 else None,
            wired_limit_mb=self._number("iogpu.wired_limit_mb"),
        )

    def swap(self) -> Swap:
        """`vm.swapusage`, and the counters of host_statistics64."""
        return swap_of(self._vm(), self._sysctl("vm.swapusage", _swapusage, parse_swapusage) or SwapUsage())

    def thermal_level(self) -> int | None:
        """The notify key that notifyutil shows. Raises OSError while there is no text to stand in for it."""
        try:
            state: int | None = self._lib.notify_state(THERMAL_KEY)
        except OSError:
            self._fails("notifyutil", THERMAL_KEY)
            if not self._texts.get("notifyutil"):
                raise
            state = parse_notify_state(self._texts["notifyutil"], THERMAL_KEY)
        else:
            self._works("notifyutil", THERMAL_KEY)
        return thermal_level(state)

    def cpu(self) -> CpuTimes | None:
        """Ticks of all cores. They have 32 bits: where one wrapped, the ratio is unknown for one sample."""
        ticks = HOST_CPU_LOAD_INFO.read(self._lib.cpu_load())
        known = [count for count in ticks.values() if count is not None]
        if len(known) < len(ticks) or not any(known):
            return None
        total = sum(known)
        busy = total - (ticks["idle"] or 0)
        return CpuTimes(busy_seconds=busy / _TICKS_PER_SECOND, total_seconds=total / _TICKS_PER_SECOND)

    def gpu_ratio(self) -> float | None:
        """The busiest GPU, by ioreg."""
        return self._accelerators.busy_ratio

    def load_1m(self) -> float | None:
        """`getloadavg`."""
        return os.getloadavg()[0]

    def footprint_bytes(self, pid: int) -> int | None:
        """`ri_phys_footprint`. Other users' processes are seen by root only."""
        usage = self._lib.process_usage(pid)
        return RUSAGE_INFO_V0.read(usage)["ri_phys_footprint"] if usage is not None else None

    def wants(self) -> tuple[str, ...]:
        """`ioreg` always; and each command whose call failed."""
        return ("ioreg", *(command for command, failing in self._failing.items() if failing))

    def feed(self, command: str, text: str) -> None:
        """Keep what a command printed; an empty text means that it failed."""
        if command == "ioreg":
            self._accelerators = parse_ioreg_accelerators(text)
        else:
            self._texts[command] = text

    def _vm(self) -> VmStat:
        try:
            counts = vm_of(self._lib.vm_statistics(), self._number("hw.pagesize"))
        except OSError:
            self._fails("vm_stat", "vm_statistics64")
            return parse_vm_stat(self._texts.get("vm_stat", ""))
        self._works("vm_stat", "vm_statistics64")
        return counts

    def _sysctl(self, name: str, of_raw: Callable[[bytes], T], of_text: Callable[[str | None], T]) -> T | None:
        """The value of a sysctl by the call, else by the text that stands in for it."""
        try:
            raw = self._lib.sysctl(name)
        except OSError:
            self._fails("sysctl", name)
            return of_text(parse_sysctl(self._texts.get("sysctl", "")).get(name))
        self._works("sysctl", name)
        return of_raw(raw) if raw is not None else None

    def _fails(self, command: str, what: str) -> None:
        self._failing[command].add(what)

    def _works(self, command: str, what: str) -> None:
        """Forget the text with the last call that works again: by the next failure it would be old."""
        self._failing[command].discard(what)
        if not self._failing[command]:
            self._texts.pop(command, None)

    def _number(self, name: str) -> int | None:
        return self._sysctl(name, _whole, whole)

    def _text(self, name: str) -> str | None:
        return self._sysctl(
            name, lambda raw: raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip() or None, lambda text: text
        )


def vm_of(raw: bytes, page_size_bytes: int | None) -> VmStat:
    """Counts of a `vm_statistics64`, as far as this kernel's goes. Raises OSError when not even the first are there.

    As in `vm_stat`, free pages are those that hold nothing: speculative ones are counted apart.
    """
    read = VM_STATISTICS64.read(raw)
    free, speculative = read["free_count"], read["speculative_count"]
    if read["wire_count"] is None:
        raise OSError(f"vm_statistics64 has {len(raw)} bytes")
    return VmStat(
        page_size_bytes=page_size_bytes,
        free=max(0, free - speculative) if free is not None and speculative is not None else None,
        active=read["active_count"],
        inactive=read["inactive_count"],
        speculative=speculative,
        wired=read["wire_count"],
        purgeable=read["purgeable_count"],
        file_backed=read["external_page_count"],
        anonymous=read["internal_page_count"],
        stored_in_compressor=read["total_uncompressed_pages_in_compressor"],
        occupied_by_compressor=read["compressor_page_count"],
        decompressions=read["decompressions"],
        compressions=read["compressions"],
        pageins=read["pageins"],
        pageouts=read["pageouts"],
        swapins=read["swapins"],
        swapouts=read["swapouts"],
    )


def _whole(raw: bytes) -> int | None:
    return int.from_bytes(raw, "little", signed=True) if len(raw) in (4, 8) else None


def _boottime(raw: bytes) -> float | None:
    read = TIMEVAL.read(raw)
    seconds, micros = read["tv_sec"], read["tv_usec"]
    return seconds + micros / 1_000_000 if seconds is not None and micros is not None and seconds > 0 else None


def _swapusage(raw: bytes) -> SwapUsage:
    read = XSW_USAGE.read(raw)
    encrypted = read["xsu_encrypted"]
    return SwapUsage(
        total_bytes=read["xsu_total"],
        used_bytes=read["xsu_used"],
        free_bytes=read["xsu_avail"],
        encrypted=None if encrypted is None else bool(encrypted),
    )
