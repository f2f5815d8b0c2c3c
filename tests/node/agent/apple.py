"""The structs that the macOS reader reads, declared as Apple's open sources declare them, and compiled here.

Each names its file and lines in https://github.com/apple-oss-distributions/xnu at xnu-11417.101.15 (macOS 15, commit
e3723e1f17661b24996789d8afc084c0c3303b26), fields in their order. `TYPES` says what each type is on a 64-bit Mac.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass

TYPES = {
    "boolean_t": ctypes.c_int32,  # osfmk/mach/arm/boolean.h:70, int
    "__darwin_suseconds_t": ctypes.c_int32,  # bsd/sys/_types.h:97, __int32_t
    "__darwin_time_t": ctypes.c_int64,  # bsd/arm/_types.h:129 and bsd/i386/_types.h:153, long
    "natural_t": ctypes.c_uint32,  # osfmk/mach/arm/vm_types.h:96, and bsd/arm/_types.h:51: unsigned int
    "u_int32_t": ctypes.c_uint32,  # bsd/sys/_types/_u_int32_t.h:30, unsigned int
    "u_int64_t": ctypes.c_uint64,  # bsd/sys/_types/_u_int64_t.h:30, unsigned long long
    "uint8_t": ctypes.c_uint8,
    "uint64_t": ctypes.c_uint64,
}
_FIELD = re.compile(r"(\w+) (\w+)(?:\[(\d+)\])?;")


@dataclass(frozen=True)
class Declared:
    """A struct: its name in C, where it is declared, and its fields as C declares them."""

    name: str
    source: str
    fields: str

    @property
    def compiled(self) -> type[ctypes.Structure]:
        """With the fields where a C compiler puts them."""
        found = [(name, TYPES[kind] * int(many) if many else TYPES[kind]) for kind, name, many in self._declared]
        return type(self.name, (ctypes.Structure,), {"_fields_": found})

    @property
    def names(self) -> tuple[str, ...]:
        """Of the fields, in their order."""
        return tuple(name for _, name, _ in self._declared)

    @property
    def _declared(self) -> list[tuple[str, str, str]]:
        declared = _FIELD.findall(self.fields)
        assert len(declared) == self.fields.count(";"), f"{self.name}: a field that is not understood"
        return declared


VM_STATISTICS64_REV0 = Declared(
    "vm_statistics64",
    "osfmk/mach/vm_statistics.h:137-158",
    """
    natural_t free_count; natural_t active_count; natural_t inactive_count; natural_t wire_count;
    uint64_t zero_fill_count; uint64_t reactivations; uint64_t pageins; uint64_t pageouts; uint64_t faults;
    uint64_t cow_faults; uint64_t lookups; uint64_t hits; uint64_t purges;
    natural_t purgeable_count; natural_t speculative_count;
    """,
)
"""The kernel's first form: HOST_VM_INFO64_REV0_COUNT (osfmk/mach/host_info.h:250) is 14 words less than the next."""

VM_STATISTICS64 = Declared(
    "vm_statistics64",
    "osfmk/mach/vm_statistics.h:137-170",
    VM_STATISTICS64_REV0.fields
    + """
    uint64_t decompressions; uint64_t compressions; uint64_t swapins; uint64_t swapouts;
    natural_t compressor_page_count; natural_t throttled_count;
    natural_t external_page_count; natural_t internal_page_count;
    uint64_t total_uncompressed_pages_in_compressor;
    """,
)

VM_STATISTICS64_REV2 = Declared(
    "vm_statistics64",
    "the same file since xnu-12377 (macOS 26): `added for rev2`",
    VM_STATISTICS64.fields + "uint64_t swapped_count;",
)

VM_STATISTICS64_REV3 = Declared(
    "vm_statistics64",
    "the same file, `Added in rev3`: memory tags",
    VM_STATISTICS64_REV2.fields
    + """
    uint64_t total_tag_storage_pages; uint64_t nontag_pageable_tag_storage_pages;
    uint64_t nontag_wired_tag_storage_pages; uint64_t free_tag_storage_pages; uint64_t tag_storing_tag_storage_pages;
    uint64_t total_tagged_pages; uint64_t resident_tagged_pages; uint64_t compressed_tagged_pages;
    uint64_t tagged_compressions; uint64_t tagged_decompressions; uint64_t compressed_tag_storage_bytes;
    """,
)
"""What FACTS section 9 met as a struct that grew."""

HOST_CPU_LOAD_INFO = Declared(
    "host_cpu_load_info",
    "osfmk/mach/host_info.h:277-279, indices of osfmk/mach/machine.h:74-79",
    "natural_t user; natural_t system; natural_t idle; natural_t nice;",
)
"""In C it is one array, cpu_ticks[CPU_STATE_MAX]."""

XSW_USAGE = Declared(
    "xsw_usage",
    "bsd/sys/sysctl.h:1132-1138",
    "u_int64_t xsu_total; u_int64_t xsu_avail; u_int64_t xsu_used; u_int32_t xsu_pagesize; boolean_t xsu_encrypted;",
)

TIMEVAL = Declared(
    "timeval", "bsd/sys/_types/_timeval.h:34-38", "__darwin_time_t tv_sec; __darwin_suseconds_t tv_usec;"
)
"""For a 64-bit process the kernel fills a user64_timeval (bsd/kern/kern_sysctl.c:2895), which has the same fields."""

RUSAGE_INFO_V0 = Declared(
    "rusage_info_v0",
    "bsd/sys/resource.h:208-220",
    """
    uint8_t ri_uuid[16]; uint64_t ri_user_time; uint64_t ri_system_time; uint64_t ri_pkg_idle_wkups;
    uint64_t ri_interrupt_wkups; uint64_t ri_pageins; uint64_t ri_wired_size; uint64_t ri_resident_size;
    uint64_t ri_phys_footprint; uint64_t ri_proc_start_abstime; uint64_t ri_proc_exit_abstime;
    """,
)

RUSAGE_INFO_V6 = Declared(
    "rusage_info_v6",
    "bsd/sys/resource.h:374-424",
    RUSAGE_INFO_V0.fields
    + """
    uint64_t ri_child_user_time; uint64_t ri_child_system_time; uint64_t ri_child_pkg_idle_wkups;
    uint64_t ri_child_interrupt_wkups; uint64_t ri_child_pageins; uint64_t ri_child_elapsed_abstime;
    uint64_t ri_diskio_bytesread; uint64_t ri_diskio_byteswritten;
    uint64_t ri_cpu_time_qos_default; uint64_t ri_cpu_time_qos_maintenance; uint64_t ri_cpu_time_qos_background;
    uint64_t ri_cpu_time_qos_utility; uint64_t ri_cpu_time_qos_legacy; uint64_t ri_cpu_time_qos_user_initiated;
    uint64_t ri_cpu_time_qos_user_interactive; uint64_t ri_billed_system_time; uint64_t ri_serviced_system_time;
    uint64_t ri_logical_writes; uint64_t ri_lifetime_max_phys_footprint; uint64_t ri_instructions; uint64_t ri_cycles;
    uint64_t ri_billed_energy; uint64_t ri_serviced_energy; uint64_t ri_interval_max_phys_footprint;
    uint64_t ri_runnable_time; uint64_t ri_flags;
    uint64_t ri_user_ptime; uint64_t ri_system_ptime; uint64_t ri_pinstructions; uint64_t ri_pcycles;
    uint64_t ri_energy_nj; uint64_t ri_penergy_nj; uint64_t ri_secure_time_in_system;
    uint64_t ri_secure_ptime_in_system; uint64_t ri_neural_footprint; uint64_t ri_lifetime_max_neural_footprint;
    uint64_t ri_interval_max_neural_footprint; uint64_t ri_reserved[9];
    """,
)
"""RUSAGE_INFO_CURRENT (bsd/sys/resource.h:199): the largest that proc_pid_rusage writes, whatever flavour is asked."""
