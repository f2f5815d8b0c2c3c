"""Pages, levels and limits to the memory and swap of a snapshot. Pure."""

from __future__ import annotations

from fleet.vocabulary.contracts.snapshot import Memory, Swap
from fleet.vocabulary.macos.sysctl import SwapUsage
from fleet.vocabulary.macos.vm_stat import VmStat
from fleet.vocabulary.units import MIB


def memory_of(
    vm: VmStat,
    *,
    total_bytes: int | None,
    pressure_level: int | None,
    free_ratio: float | None,
    wired_limit_mb: int | None,
) -> Memory:
    """Memory as Activity Monitor counts it: app = anonymous minus purgeable, compressed = occupied by the compressor.

    A wired limit of 0 is the system's default, whose size the kernel does not say: unknown (FACTS section 4.7).
    """
    wired = vm.bytes_of(vm.wired)
    limit = wired_limit_mb * MIB if wired_limit_mb and wired_limit_mb > 0 else None
    return Memory(
        total_bytes=total_bytes,
        wired_bytes=wired,
        compressed_bytes=vm.bytes_of(vm.occupied_by_compressor),
        app_bytes=vm.bytes_of(_minus(vm.anonymous, vm.purgeable)),
        cached_bytes=vm.bytes_of(_plus(vm.file_backed, vm.purgeable)),
        free_bytes=vm.bytes_of(vm.free),
        pressure_level=pressure_level,
        free_ratio=free_ratio,
        wired_limit_bytes=limit,
        wired_headroom_bytes=_difference(limit, wired),
        compressions_total=vm.compressions,
        decompressions_total=vm.decompressions,
    )


def swap_of(vm: VmStat, usage: SwapUsage) -> Swap:
    """Swap in use, and the counters of real swapping (not of file paging, FACTS section 3)."""
    return Swap(
        used_bytes=usage.used_bytes,
        total_bytes=usage.total_bytes,
        swapins_bytes_total=vm.bytes_of(vm.swapins),
        swapouts_bytes_total=vm.bytes_of(vm.swapouts),
    )


def _plus(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _minus(one: int | None, other: int | None) -> int | None:
    """`one` less `other`, which the kernel counted a moment later: never below nothing."""
    return None if one is None or other is None else max(0, one - other)


def _difference(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one - other
