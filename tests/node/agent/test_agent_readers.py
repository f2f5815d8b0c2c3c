"""The readers: libSystem's bytes, recordings and /proc become the same readings, and unknown stays unknown."""

import ctypes
import os
import shutil
import struct
import sys
from pathlib import Path

import psutil
import pytest

from fleet.node.agent.libsystem import grown
from fleet.node.agent.linux import LinuxReader
from fleet.node.agent.macos import RUSAGE_INFO, TIMEVAL, VM_STATISTICS64, XSW_USAGE, MacosReader
from fleet.node.agent.reading import Machine
from fleet.node.agent.recorded import RecordedReader
from fleet.vocabulary.contracts.snapshot import Memory, Swap
from fleet.vocabulary.units import GIB, KIB, MIB

SAMPLES = Path(__file__).parents[2] / "samples"
PAGE = 16384


def vm_bytes(**counts: int) -> bytes:
    """A `vm_statistics64` with these counts."""
    names = [
        "free",
        "active",
        "inactive",
        "wired",
        "zero",
        "reactivations",
        "pageins",
        "pageouts",
        "faults",
        "cow",
        "lookups",
        "hits",
        "purges",
        "purgeable",
        "speculative",
        "decompressions",
        "compressions",
        "swapins",
        "swapouts",
        "compressor",
        "throttled",
        "external",
        "internal",
        "uncompressed",
    ]
    return VM_STATISTICS64.pack(*(counts.get(name, 0) for name in names))


class FakeLibSystem:
    """libSystem over a table of sysctls."""

    def __init__(self) -> None:
        self.sysctls = {
            "kern.osproductversion": b"26.5.1\0",
            "machdep.cpu.brand_string": b"Apple M4\0",
            "hw.model": b"Mac16,10\0",
            "hw.memsize": struct.pack("=Q", 16 * GIB),
            "hw.pagesize": struct.pack("=Q", PAGE),
            "kern.memorystatus_vm_pressure_level": struct.pack("=i", 2),
            "kern.memorystatus_level": struct.pack("=i", 41),
            "iogpu.wired_limit_mb": struct.pack("=i", 12288),
            "vm.swapusage": XSW_USAGE.pack(2 * GIB, GIB, GIB, PAGE, 1),
            "kern.boottime": TIMEVAL.pack(1_784_098_183, 710_968) + b"\0" * 4,
        }
        self.vm = vm_bytes(
            free=1000, speculative=200, wired=5000, purgeable=50, compressor=300, external=700, internal=4050
        )
        self.vm_error: OSError | None = None
        self.state = 1

    def sysctl(self, name: str) -> bytes | None:
        return self.sysctls.get(name)

    def vm_statistics(self) -> bytes:
        if self.vm_error:
            raise self.vm_error
        return self.vm

    def notify_state(self, key: str) -> int:
        return self.state

    def process_usage(self, pid: int) -> bytes | None:
        return RUSAGE_INFO.pack(b"u" * 16, 1, 2, 3, 4, 5, 6, 700, 900) + b"\0" * 16 if pid == 7 else None


@pytest.mark.parametrize(
    ("layout", "fields", "size"),
    [
        # xnu osfmk/mach/vm_statistics.h, rev4 (38 words of 4 bytes)
        (
            VM_STATISTICS64,
            [(f"n{i}", ctypes.c_uint32) for i in range(4)]
            + [(f"q{i}", ctypes.c_uint64) for i in range(9)]
            + [("purgeable", ctypes.c_uint32), ("speculative", ctypes.c_uint32)]
            + [(f"r{i}", ctypes.c_uint64) for i in range(4)]
            + [(f"m{i}", ctypes.c_uint32) for i in range(4)]
            + [("uncompressed", ctypes.c_uint64)],
            152,
        ),
        # xnu bsd/sys/sysctl.h, xsw_usage
        (
            XSW_USAGE,
            [(f"q{i}", ctypes.c_uint64) for i in range(3)] + [("page", ctypes.c_uint32), ("enc", ctypes.c_int32)],
            32,
        ),
        # xnu bsd/sys/resource.h, rusage_info_v0 up to ri_phys_footprint
        (RUSAGE_INFO, [("uuid", ctypes.c_uint8 * 16)] + [(f"q{i}", ctypes.c_uint64) for i in range(8)], 80),
    ],
)
def test_layouts_are_those_that_a_c_compiler_gives_apples_headers(layout, fields, size):
    native = type("Native", (ctypes.Structure,), {"_fields_": fields})
    assert layout.size == ctypes.sizeof(native) == size


def test_the_macos_reader_counts_memory_as_activity_monitor_does():
    memory = MacosReader(FakeLibSystem()).memory()
    assert memory == Memory(
        total_bytes=16 * GIB,
        wired_bytes=5000 * PAGE,
        compressed_bytes=300 * PAGE,
        app_bytes=4000 * PAGE,
        cached_bytes=750 * PAGE,
        free_bytes=800 * PAGE,
        pressure_level=2,
        free_ratio=0.41,
        wired_limit_bytes=12 * GIB,
        wired_headroom_bytes=12 * GIB - 5000 * PAGE,
    )


def test_the_macos_reader_reads_the_rest():
    reader = MacosReader(FakeLibSystem())
    assert reader.machine() == Machine(os_version="26.5.1", chip="Apple M4", hardware_model="Mac16,10")
    assert reader.swap() == Swap(used_bytes=GIB, total_bytes=2 * GIB, swapins_bytes_total=0, swapouts_bytes_total=0)
    assert reader.boot_time_seconds() == 1_784_098_183.710968
    assert reader.thermal_level() == 1
    assert reader.footprint_bytes(7) == 900
    assert reader.footprint_bytes(8) is None


def test_both_systems_count_processor_time_alike():
    for reader in (MacosReader(FakeLibSystem()), LinuxReader()):
        times = reader.cpu()
        assert 0 < times.busy_seconds <= times.total_seconds


def test_a_grown_struct_reads_like_todays():
    lib = FakeLibSystem()
    before = MacosReader(lib).memory()
    lib.vm += b"\xff" * 88
    assert MacosReader(lib).memory() == before


def test_the_kernels_own_count_is_asked_for_when_the_answer_does_not_fit():
    asked = []

    def call(buffer, count_pointer):
        count = ctypes.cast(count_pointer, ctypes.POINTER(ctypes.c_uint32))
        asked.append(count[0])
        if count[0] < 400:
            count[0] = 400
            return -307
        buffer[0] = 42
        count[0] = 400
        return 0

    assert grown(call)[:4] == struct.pack("=i", 42)
    assert asked == [256, 400]


def test_a_call_that_fails_otherwise_is_an_error_and_not_zeros():
    with pytest.raises(OSError, match="answered 5"):
        grown(lambda buffer, count: 5)


def test_vm_stats_text_stands_in_while_the_call_fails():
    lib = FakeLibSystem()
    reader = MacosReader(lib)
    lib.vm_error = OSError("the kernel answered -307")
    assert reader.memory().wired_bytes is None
    assert reader.memory().pressure_level == 2
    assert reader.wants() == ("vm_stat",)
    reader.feed("vm_stat", (SAMPLES / "memory/vm_stat-m5-real.txt").read_text())
    assert reader.memory().wired_bytes == 222249 * PAGE
    lib.vm_error = None
    assert reader.memory().wired_bytes == 5000 * PAGE
    assert reader.wants() == ()


def test_what_the_kernel_lacks_is_unknown():
    lib = FakeLibSystem()
    lib.sysctls.clear()
    reader = MacosReader(lib)
    assert reader.memory() == Memory()
    assert reader.swap() == Swap()
    assert reader.machine() == Machine()
    assert reader.boot_time_seconds() is None


@pytest.mark.parametrize("limit", [0, -1])
def test_the_default_wired_limit_is_unknown_and_not_zero(limit):
    lib = FakeLibSystem()
    lib.sysctls["iogpu.wired_limit_mb"] = struct.pack("=i", limit)
    memory = MacosReader(lib).memory()
    assert memory.wired_limit_bytes is None
    assert memory.wired_headroom_bytes is None


@pytest.fixture
def recorded(tmp_path) -> RecordedReader:
    shutil.copy(SAMPLES / "memory/vm_stat-pressure-synthetic.txt", tmp_path / "vm_stat.txt")
    shutil.copy(SAMPLES / "memory/sysctl-i-pressure4-synthetic.txt", tmp_path / "sysctl.txt")
    with (tmp_path / "sysctl.txt").open("a") as file:
        file.write((SAMPLES / "system/sysctl-hw-m3max-128g-real.txt").read_text())
    shutil.copy(SAMPLES / "thermal/notifyutil-level-2.txt", tmp_path / "thermal.txt")
    shutil.copy(SAMPLES / "gpu/ioreg-IOAccelerator-m4pro-real.txt", tmp_path / "ioreg.txt")
    shutil.copy(SAMPLES / "system/sw_vers.txt", tmp_path / "sw_vers.txt")
    return RecordedReader(tmp_path)


def test_a_folder_of_recordings_is_a_mac(recorded):
    memory = recorded.memory()
    assert memory.wired_bytes == 2211904 * PAGE
    assert memory.pressure_level == 4
    assert memory.total_bytes == 128 * GIB
    assert memory.wired_headroom_bytes == 40960 * MIB - 2211904 * PAGE
    assert recorded.swap().swapouts_bytes_total == 16604112 * PAGE
    assert recorded.thermal_level() == 2
    assert recorded.gpu_ratio() == 0.15
    assert recorded.machine().os_version == "15.0"


def test_recordings_are_read_again_every_time(recorded, tmp_path):
    shutil.copy(SAMPLES / "thermal/notifyutil-level-0.txt", tmp_path / "thermal.txt")
    assert recorded.thermal_level() == 0
    (tmp_path / "thermal.txt").unlink()
    assert recorded.thermal_level() is None


def test_an_empty_folder_of_recordings_knows_nothing(tmp_path):
    reader = RecordedReader(tmp_path / "absent")
    assert reader.memory() == Memory()
    assert reader.swap() == Swap()
    assert reader.machine() == Machine()
    assert (reader.thermal_level(), reader.load_1m(), reader.boot_time_seconds()) == (None, None, None)


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="psutil reads /proc")


@linux_only
def test_linux_reads_itself():
    reader = LinuxReader()
    memory = reader.memory()
    assert 0 < memory.free_bytes < memory.total_bytes
    assert 0 < memory.free_ratio < 1
    assert memory.pressure_level is None
    assert reader.swap().total_bytes is not None
    assert reader.boot_time_seconds() == psutil.boot_time()
    assert reader.load_1m() >= 0
    assert reader.machine().os_version.startswith("Linux ")
    assert reader.footprint_bytes(os.getpid()) is None


@pytest.fixture
def proc(tmp_path, monkeypatch) -> Path:
    """Where psutil looks for the machine."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    (tmp_path / "meminfo").write_text(
        "MemTotal: 8000 kB\nMemFree: 1000 kB\nMemAvailable: 6000 kB\nCached: 3000 kB\nSReclaimable: 500 kB\n"
        "SwapTotal: 400 kB\nSwapFree: 300 kB\n"
    )
    (tmp_path / "vmstat").write_text("pgpgin 7000000\npgpgout 8000000\npswpin 3\npswpout 5\n")
    return tmp_path


@linux_only
def test_linux_counts_swapping_and_not_file_paging(proc):
    assert LinuxReader().swap() == Swap(
        used_bytes=100 * KIB, total_bytes=400 * KIB, swapins_bytes_total=12 * KIB, swapouts_bytes_total=20 * KIB
    )


@linux_only
def test_linux_counts_memory_as_free_does(proc):
    assert LinuxReader().memory() == Memory(
        total_bytes=8000 * KIB, cached_bytes=3500 * KIB, free_bytes=1000 * KIB, free_ratio=0.75
    )


@linux_only
def test_what_psutil_is_not_sure_of_is_unknown_and_not_zero(proc, recwarn):
    (proc / "vmstat").unlink()
    lines = ("MemTotal: 8000 kB", "MemFree: 1000 kB", "MemAvailable: 6000 kB", "SwapTotal: 0 kB", "SwapFree: 0 kB")
    (proc / "meminfo").write_text("\n".join(lines))
    assert LinuxReader().swap() == Swap(used_bytes=0, total_bytes=0)
    assert LinuxReader().memory().cached_bytes is None
    assert not recwarn
