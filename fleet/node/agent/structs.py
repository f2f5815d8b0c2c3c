"""Structs of Apple's published headers, by offset. What a shorter answer lacks is unknown, what a longer adds skipped.

Offsets are those of 64-bit macOS, equal on Intel and Apple silicon.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_U32, _U64, _I32, _I64 = "=I", "=Q", "=i", "=q"


@dataclass(frozen=True)
class Layout:
    """Where the fields of a struct lie: name -> (offset in bytes, format)."""

    fields: Mapping[str, tuple[int, str]]

    def read(self, raw: bytes) -> dict[str, int | None]:
        """Every field by its name; None for one that does not lie whole within `raw`."""
        return {
            name: struct.unpack_from(kind, raw, offset)[0] if offset + struct.calcsize(kind) <= len(raw) else None
            for name, (offset, kind) in self.fields.items()
        }


def _layout(**fields: tuple[int, str]) -> Layout:
    return Layout(MappingProxyType(fields))


VM_STATISTICS64 = _layout(
    free_count=(0, _U32),
    active_count=(4, _U32),
    inactive_count=(8, _U32),
    wire_count=(12, _U32),
    pageins=(32, _U64),
    pageouts=(40, _U64),
    purgeable_count=(88, _U32),
    speculative_count=(92, _U32),
    decompressions=(96, _U64),
    compressions=(104, _U64),
    swapins=(112, _U64),
    swapouts=(120, _U64),
    compressor_page_count=(128, _U32),
    external_page_count=(136, _U32),
    internal_page_count=(140, _U32),
    total_uncompressed_pages_in_compressor=(144, _U64),
)
"""mach/vm_statistics.h."""

HOST_CPU_LOAD_INFO = _layout(user=(0, _U32), system=(4, _U32), idle=(8, _U32), nice=(12, _U32))
"""mach/host_info.h, indices of mach/machine.h: ticks of all cores."""

XSW_USAGE = _layout(xsu_total=(0, _U64), xsu_avail=(8, _U64), xsu_used=(16, _U64), xsu_encrypted=(28, _I32))
"""sys/sysctl.h."""

TIMEVAL = _layout(tv_sec=(0, _I64), tv_usec=(8, _I32))
"""sys/_types/_timeval.h."""

RUSAGE_INFO_V0 = _layout(ri_resident_size=(64, _U64), ri_phys_footprint=(72, _U64))
"""sys/resource.h."""
