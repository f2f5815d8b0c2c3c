"""Readings of a real Mac: libSystem's bytes as values. Layouts are those of Apple's published headers.

Memory and swap are not psutil's, which has neither pressure nor compressor there, and calls file paging swap (FACTS
section 3); processor time is.
`vm_stat`'s text stands in while `host_statistics64` fails (FACTS section 9).
"""

from __future__ import annotations

import os
import struct

from fleet.node.agent.cpu import cpu_times
from fleet.node.agent.libsystem import LibSystem
from fleet.node.agent.memory import memory_of, swap_of
from fleet.node.agent.reading import CpuTimes, Machine
from fleet.vocabulary.contracts.snapshot import Memory, Swap
from fleet.vocabulary.macos.notifyutil import THERMAL_KEY, thermal_level
from fleet.vocabulary.macos.sysctl import PRESSURE_LEVELS, SwapUsage
from fleet.vocabulary.macos.vm_stat import VmStat, parse_vm_stat

VM_STATISTICS64 = struct.Struct("=4I9Q2I4Q4IQ")
"""mach/vm_statistics.h up to rev4; later kernels append."""
XSW_USAGE = struct.Struct("=3QIi")
"""sys/sysctl.h: total, available, used, page size, encrypted."""
TIMEVAL = struct.Struct("=qi")
RUSAGE_INFO = struct.Struct("=16s8Q")
"""sys/resource.h, `rusage_info_v0` up to the physical footprint."""


class MacosReader:
    """Readings by libSystem."""

    def __init__(self, lib: LibSystem) -> None:
        self._lib = lib
        self._vm_text = ""
        self._vm_failed = False

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
        raw = self._lib.sysctl("kern.boottime")
        if raw is None or len(raw) < TIMEVAL.size:
            return None
        seconds, micros = TIMEVAL.unpack_from(raw)
        return seconds + micros / 1_000_000 if seconds > 0 else None

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
        return swap_of(self._vm(), self._swapusage())

    def thermal_level(self) -> int | None:
        """The notify key that notifyutil shows."""
        return thermal_level(self._lib.notify_state(THERMAL_KEY))

    def cpu(self) -> CpuTimes | None:
        """Time of all cores."""
        return cpu_times()

    def gpu_ratio(self) -> float | None:
        """Not read without a fork yet."""
        return None

    def load_1m(self) -> float | None:
        """`getloadavg`."""
        return os.getloadavg()[0]

    def footprint_bytes(self, pid: int) -> int | None:
        """`ri_phys_footprint`. Other users' processes are seen by root only."""
        usage = self._lib.process_usage(pid)
        if usage is None or len(usage) < RUSAGE_INFO.size:
            return None
        footprint: int = RUSAGE_INFO.unpack_from(usage)[-1]
        return footprint

    def wants(self) -> tuple[str, ...]:
        """`vm_stat` after host_statistics64 failed."""
        return ("vm_stat",) if self._vm_failed else ()

    def feed(self, command: str, text: str) -> None:
        """Keep the text of `vm_stat`."""
        if command == "vm_stat":
            self._vm_text = text

    def _vm(self) -> VmStat:
        try:
            counts = vm_of(self._lib.vm_statistics(), self._number("hw.pagesize"))
        except OSError:
            self._vm_failed = True
            return parse_vm_stat(self._vm_text)
        self._vm_failed, self._vm_text = False, ""
        return counts

    def _swapusage(self) -> SwapUsage:
        raw = self._lib.sysctl("vm.swapusage")
        if raw is None or len(raw) < XSW_USAGE.size:
            return SwapUsage()
        total, available, used, _, encrypted = XSW_USAGE.unpack_from(raw)
        return SwapUsage(total_bytes=total, used_bytes=used, free_bytes=available, encrypted=bool(encrypted))

    def _number(self, name: str) -> int | None:
        raw = self._lib.sysctl(name)
        return int.from_bytes(raw, "little", signed=True) if raw is not None and len(raw) in (4, 8) else None

    def _text(self, name: str) -> str | None:
        raw = self._lib.sysctl(name)
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip() or None if raw else None


def vm_of(raw: bytes, page_size_bytes: int | None) -> VmStat:
    """Counts of a `vm_statistics64`, whatever a later kernel appended. Raises OSError when it is too short.

    As in `vm_stat`, free pages are those that hold nothing: speculative ones are counted apart.
    """
    if len(raw) < VM_STATISTICS64.size:
        raise OSError(f"vm_statistics64 has {len(raw)} bytes")
    (
        free,
        active,
        inactive,
        wired,
        _zero_fills,
        _reactivations,
        pageins,
        pageouts,
        _faults,
        _cow_faults,
        _lookups,
        _hits,
        _purges,
        purgeable,
        speculative,
        decompressions,
        compressions,
        swapins,
        swapouts,
        compressor,
        _throttled,
        external,
        internal,
        uncompressed,
    ) = VM_STATISTICS64.unpack_from(raw)
    return VmStat(
        page_size_bytes=page_size_bytes,
        free=max(0, free - speculative),
        active=active,
        inactive=inactive,
        speculative=speculative,
        wired=wired,
        purgeable=purgeable,
        file_backed=external,
        anonymous=internal,
        stored_in_compressor=uncompressed,
        occupied_by_compressor=compressor,
        decompressions=decompressions,
        compressions=compressions,
        pageins=pageins,
        pageouts=pageouts,
        swapins=swapins,
        swapouts=swapouts,
    )
