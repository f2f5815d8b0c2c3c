"""What a simulated Mac is made of: a Mac mini with an M4 Pro, in the recorded text forms (`macos/SOURCES.md`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

PAGE_BYTES = 16384
GIB = 1024**3
DISK_BYTES = 1_000_000_000_000
DISK_FREE_BYTES = 400_000_000_000

BUILDS = {"14.7.6": "23H626", "15.0": "24A335", "15.6.1": "24G90", "26.2": "25C56", "26.5.1": "25F80"}

_VM_STAT_ROWS = (
    ("Pages free", 33762),
    ("Pages active", 399751),
    ("Pages inactive", 201894),
    ("Pages speculative", 72602),
    ("Pages throttled", 0),
    ("Pages wired down", 106180),
    ("Pages purgeable", 5850),
    ('"Translation faults"', 412339021),
    ("Pages copy-on-write", 18772104),
    ("Pages zero filled", 351209877),
    ("Pages reactivated", 21556340),
    ("Pages purged", 9881203),
    ("File-backed pages", 347959),
    ("Anonymous pages", 326288),
    ("Pages stored in compressor", 29978),
    ("Pages occupied by compressor", 14572),
    ("Decompressions", 61337),
    ("Compressions", 88410),
    ("Pageins", 2541033),
    ("Pageouts", 40287),
    ("Swapins", 0),
    ("Swapouts", 0),
)
VM_STAT_AT_REST: Mapping[str, int] = MappingProxyType(dict(_VM_STAT_ROWS))

PMSET_CUSTOM = """AC Power:
 Sleep On Power Button 1
 autorestartatconnect 0
 lowpowermode         0
 standby              0
 ttyskeepawake        1
 powernap             1
 displaysleep         10
 womp                 1
 networkoversleep     0
 sleep                1
 tcpkeepalive         1
 autorestart          0
 disksleep            10
"""

PMSET_THERM = """Note: No thermal warning level has been recorded
Note: No performance warning level has been recorded
Note: No CPU power status has been recorded
"""

IOREG = """+-o AGXAcceleratorG16X  <class AGXAcceleratorG16X, id 0x1000003ac, registered, matched, active, busy 0 (1291 ms), retain 83>
    {
      "PerformanceStatistics" = {"In use system memory (driver)"=0,"Alloc system memory"=11442683904,"Tiler Utilization %"=0,"recoveryCount"=0,"lastRecoveryTime"=0,"Renderer Utilization %"=0,"TiledSceneBytes"=0,"Device Utilization %"=0,"SplitSceneCount"=0,"Allocated PB Size"=144441344,"In use system memory"=1341079552}
      "IOPersonalityPublisher" = "com.apple.AGXG16X"
      "model" = "Apple M4 Pro"
    }

"""  # noqa: E501 (recorded: one long line)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """The parts that differ between simulated Macs."""

    model: str = "Mac16,11"
    chip: str = "Apple M4 Pro"
    memory_bytes: int = 24 * GIB
    performance_cores: int = 8
    efficiency_cores: int = 4
    os_version: str = "26.5.1"

    @property
    def os_build(self) -> str:
        """The build of the version, or a made-up one."""
        return BUILDS.get(self.os_version, "25Z999")

    def sysctl(self) -> dict[str, str]:
        """Every oid that this Mac knows, with its value at boot."""
        cores = self.performance_cores + self.efficiency_cores
        return {
            "hw.ncpu": str(cores),
            "hw.memsize": str(self.memory_bytes),
            "hw.model": self.model,
            "hw.optional.arm64": "1",
            "hw.pagesize": str(PAGE_BYTES),
            "hw.nperflevels": "2",
            "hw.perflevel0.physicalcpu": str(self.performance_cores),
            "hw.perflevel0.logicalcpu": str(self.performance_cores),
            "hw.perflevel0.name": "Performance",
            "hw.perflevel1.physicalcpu": str(self.efficiency_cores),
            "hw.perflevel1.logicalcpu": str(self.efficiency_cores),
            "hw.perflevel1.name": "Efficiency",
            "hw.physicalcpu": str(cores),
            "hw.logicalcpu": str(cores),
            "machdep.cpu.brand_string": self.chip,
            "sysctl.proc_translated": "0",
            "kern.osproductversion": self.os_version,
            "kern.osversion": self.os_build,
            "kern.ostype": "Darwin",
            "kern.maxfiles": "245760",
            "kern.maxfilesperproc": "122880",
            "kern.memorystatus_vm_pressure_level": "1",
            "kern.memorystatus_level": "81",
            "vm.loadavg": "{ 0.78 0.45 0.39 }",
            "vm.swapusage": "total = 0.00M  used = 0.00M  free = 0.00M  (encrypted)",
            "iogpu.wired_limit_mb": "0",
            "iogpu.wired_lwm_mb": "0",
        }

    def vm_stat(self) -> str:
        """What `vm_stat` prints at rest."""
        return vm_stat_text(VM_STAT_AT_REST)


def vm_stat_text(rows: Mapping[str, int]) -> str:
    """`vm_stat` in Apple's format, `"%-35s %16llu."` a line, the colon inside the label."""
    head = f"Mach Virtual Memory Statistics: (page size of {PAGE_BYTES} bytes)\n"
    return head + "".join(f"{label + ':':<35} {value:>16}.\n" for label, value in rows.items())


def df_text(free_bytes: int) -> str:
    """`df -kP` of the data volume."""
    used_bytes = DISK_BYTES - free_bytes
    total, used, free = (size // 1024 for size in (DISK_BYTES, used_bytes, free_bytes))
    return (
        "Filesystem     1024-blocks      Used Available Capacity  Mounted on\n"
        f"/dev/disk3s5   {total:11d} {used:9d} {free:9d} {used_bytes * 100 // DISK_BYTES:7d}%    /System/Volumes/Data\n"
    )
