"""The macOS reader: libSystem's bytes by Apple's headers, kernels of any age, and texts where a call fails."""

import ctypes
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.node.agent.fallbacks import COMMANDS, SYSCTLS, command
from fleet.node.agent.libsystem import AbsentLibSystem, grown, load
from fleet.node.agent.macos import MacosReader, vm_of
from fleet.node.agent.metrics import render
from fleet.node.agent.rates import busy_ratio
from fleet.node.agent.reading import CpuTimes, Machine
from fleet.node.agent.recorded import RecordedReader
from fleet.node.agent.sampler import Sampler
from fleet.testing.clock import FakeClock
from fleet.testing.mac import FakeMac
from fleet.vocabulary.contracts.snapshot import Memory, Swap
from fleet.vocabulary.macos.vm_stat import VmStat, parse_vm_stat
from fleet.vocabulary.units import GIB, MIB
from tests.node.agent import apple

SAMPLES = Path(__file__).parents[2] / "samples"
PAGE = 16384
VmStatistics64, HostCpuLoadInfo = apple.VM_STATISTICS64.compiled, apple.HOST_CPU_LOAD_INFO.compiled
XswUsage, Timeval, RusageInfoV0 = apple.XSW_USAGE.compiled, apple.TIMEVAL.compiled, apple.RUSAGE_INFO_V0.compiled


def vm_bytes(**counts: int) -> bytes:
    """A `vm_statistics64` with these counts."""
    return bytes(VmStatistics64(**counts))


class FakeLibSystem:
    """libSystem over a table of sysctls. A name in `broken` makes that call fail."""

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
            "vm.swapusage": bytes(XswUsage(2 * GIB, GIB, GIB, PAGE, 1)),
            "kern.boottime": bytes(Timeval(1_784_098_183, 710_968)),
        }
        self.vm = vm_bytes(
            free_count=1000,
            speculative_count=200,
            wire_count=5000,
            purgeable_count=50,
            compressor_page_count=300,
            external_page_count=700,
            internal_page_count=4050,
            swapins=3,
            swapouts=4,
            decompressions=11,
            compressions=22,
            total_uncompressed_pages_in_compressor=900,
        )
        self.ticks = bytes(HostCpuLoadInfo(100, 50, 800, 50))
        self.state = 1
        self.broken: set[str] = set()
        self.asked: set[str] = set()

    def sysctl(self, name: str) -> bytes | None:
        self._check("sysctl")
        self.asked.add(name)
        return self.sysctls.get(name)

    def vm_statistics(self) -> bytes:
        self._check("vm")
        return self.vm

    def cpu_load(self) -> bytes:
        self._check("cpu")
        return self.ticks

    def notify_state(self, key: str) -> int:
        self._check("notify")
        return self.state

    def process_usage(self, pid: int) -> bytes | None:
        usage = RusageInfoV0(ri_resident_size=700, ri_phys_footprint=900)
        return bytes(usage) + b"\0" * 16 if pid == 7 else None

    def _check(self, name: str) -> None:
        if name in self.broken:
            raise OSError(f"{name}: the kernel answered -307")


MEMORY = Memory(
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
    compressions_total=22,
    decompressions_total=11,
)


def test_memory_is_counted_as_activity_monitor_does():
    assert MacosReader(FakeLibSystem()).memory() == MEMORY


def test_the_rest_is_read():
    reader = MacosReader(FakeLibSystem())
    assert reader.machine() == Machine(os_version="26.5.1", chip="Apple M4", hardware_model="Mac16,10")
    assert reader.swap() == Swap(
        used_bytes=GIB, total_bytes=2 * GIB, swapins_bytes_total=3 * PAGE, swapouts_bytes_total=4 * PAGE
    )
    assert reader.boot_time_seconds() == 1_784_098_183.710968
    assert reader.thermal_level() == 1
    assert reader.footprint_bytes(7) == 900
    assert reader.footprint_bytes(8) is None
    assert reader.cpu() == CpuTimes(busy_seconds=2.0, total_seconds=10.0)


def test_no_reading_needs_psutil(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "psutil", None)
    test_the_rest_is_read()
    test_memory_is_counted_as_activity_monitor_does()


def test_ticks_that_wrapped_give_no_ratio_for_one_sample():
    lib = FakeLibSystem()
    reader = MacosReader(lib)
    lib.ticks = bytes(HostCpuLoadInfo(100, 50, 2**32 - 10, 0))
    before = reader.cpu()
    lib.ticks = bytes(HostCpuLoadInfo(120, 60, 20, 0))
    after = reader.cpu()
    assert busy_ratio(before, after) is None
    lib.ticks = bytes(HostCpuLoadInfo(130, 60, 50, 0))
    assert busy_ratio(after, reader.cpu()) == pytest.approx(0.25)


@given(st.binary(max_size=400))
def test_a_grown_struct_reads_like_todays(tail):
    """macOS 27 appended fields to vm_statistics64; so may any other."""
    lib = FakeLibSystem()
    lib.vm += tail
    lib.ticks += tail
    lib.sysctls["vm.swapusage"] += tail
    lib.sysctls["kern.boottime"] += tail
    reader = MacosReader(lib)
    assert reader.memory() == MEMORY
    assert reader.cpu() == CpuTimes(busy_seconds=2.0, total_seconds=10.0)
    assert reader.boot_time_seconds() == 1_784_098_183.710968
    assert reader.swap().used_bytes == GIB


@given(st.integers(16, 151))
def test_a_shorter_struct_leaves_unknown_what_it_lacks_and_invents_nothing(length):
    whole, cut = vm_of(FakeLibSystem().vm, PAGE), vm_of(FakeLibSystem().vm[:length], PAGE)
    for name in VmStat.__dataclass_fields__:
        assert getattr(cut, name) in (getattr(whole, name), None), name
    assert cut.wired == 5000
    assert cut.stored_in_compressor is None


def test_the_struct_before_the_compressor_was_counted_knows_pages_and_no_swapping():
    """HOST_VM_INFO64 of rev0 ends before `decompressions`."""
    lib = FakeLibSystem()
    lib.vm = lib.vm[: VmStatistics64.decompressions.offset]
    memory, swap = MacosReader(lib).memory(), MacosReader(lib).swap()
    assert (memory.wired_bytes, memory.free_bytes) == (5000 * PAGE, 800 * PAGE)
    assert (memory.compressed_bytes, memory.app_bytes, memory.decompressions_total) == (None, None, None)
    assert (swap.swapins_bytes_total, swap.swapouts_bytes_total) == (None, None)


@given(st.binary(max_size=200))
def test_any_bytes_of_the_kernel_are_readings_or_unknown_or_an_os_error(raw):
    lib = FakeLibSystem()
    lib.vm = lib.ticks = raw
    lib.sysctls = dict.fromkeys(lib.sysctls, raw)
    reader = MacosReader(lib)
    for read in (reader.memory, reader.swap, reader.machine, reader.boot_time_seconds, reader.cpu):
        try:
            read()
        except OSError:
            pass


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


def test_only_what_the_kernel_says_that_it_filled_is_read():
    def call(buffer, count_pointer):
        ctypes.cast(count_pointer, ctypes.POINTER(ctypes.c_uint32))[0] = 24
        for index in range(256):
            buffer[index] = 7
        return 0

    assert len(grown(call)) == 96
    assert vm_of(grown(call), PAGE).swapouts is None


def test_a_call_that_fails_otherwise_is_an_error_and_not_zeros():
    with pytest.raises(OSError, match="answered 5"):
        grown(lambda buffer, count: 5)


def test_vm_stats_text_stands_in_while_the_call_fails():
    lib = FakeLibSystem()
    reader = MacosReader(lib)
    lib.broken = {"vm"}
    assert reader.memory().wired_bytes is None
    assert reader.memory().pressure_level == 2
    assert reader.wants() == ("ioreg", "vm_stat")
    reader.feed("vm_stat", (SAMPLES / "memory/vm_stat-m5-real.txt").read_text())
    assert reader.memory().wired_bytes == 222249 * PAGE
    reader.feed("vm_stat", "")
    assert reader.memory().wired_bytes is None, "a text that could not be read again is not kept for ever"
    lib.broken = set()
    assert reader.memory().wired_bytes == 5000 * PAGE
    assert reader.wants() == ("ioreg",)


def test_sysctls_text_stands_in_while_the_call_fails():
    lib = FakeLibSystem()
    reader = MacosReader(lib)
    lib.broken = {"sysctl"}
    assert reader.memory().pressure_level is None
    assert reader.machine() == Machine()
    assert reader.wants() == ("ioreg", "sysctl")
    text = (SAMPLES / "memory/sysctl-i-pressure4-synthetic.txt").read_text()
    extra = "kern.boottime: { sec = 1784098183, usec = 710968 } Wed Jul 15 14:49:43 2026\nhw.model: Mac16,10\n"
    reader.feed("sysctl", text + extra)
    memory = reader.memory()
    assert (memory.pressure_level, memory.free_ratio, memory.wired_limit_bytes) == (4, 0.07, 40960 * MIB)
    assert reader.swap().used_bytes > GIB
    assert reader.boot_time_seconds() == 1784098183.710968
    assert reader.machine().hardware_model == "Mac16,10"
    lib.broken = set()
    assert reader.memory() == MEMORY
    reader.machine(), reader.swap(), reader.boot_time_seconds()
    assert reader.wants() == ("ioreg",)


def test_notifyutils_text_stands_in_while_notifyd_does_not_answer():
    lib = FakeLibSystem()
    reader = MacosReader(lib)
    lib.broken = {"notify"}
    with pytest.raises(OSError, match="notify"):
        reader.thermal_level()
    assert reader.wants() == ("ioreg", "notifyutil")
    for level in range(5):
        reader.feed("notifyutil", (SAMPLES / f"thermal/notifyutil-level-{level}.txt").read_text())
        assert reader.thermal_level() == level
    reader.feed("notifyutil", (SAMPLES / "thermal/notifyutil-failed.txt").read_text())
    assert reader.thermal_level() is None
    lib.broken = set()
    assert reader.thermal_level() == 1
    assert reader.wants() == ("ioreg",)


def test_a_text_of_an_earlier_failure_stands_in_for_nothing():
    lib = FakeLibSystem()
    reader = MacosReader(lib)
    for _ in range(2):
        lib.broken = {"vm", "sysctl", "notify"}
        assert reader.memory() == Memory()
        with pytest.raises(OSError, match="notify"):
            reader.thermal_level()
        reader.feed("vm_stat", (SAMPLES / "memory/vm_stat-m5-real.txt").read_text())
        reader.feed("sysctl", (SAMPLES / "memory/sysctl-i-pressure4-synthetic.txt").read_text())
        reader.feed("notifyutil", (SAMPLES / "thermal/notifyutil-level-2.txt").read_text())
        assert (reader.memory().pressure_level, reader.thermal_level()) == (4, 2)
        lib.broken = set()
        assert (reader.memory(), reader.thermal_level()) == (MEMORY, 1)


def test_the_sysctl_command_asks_for_everything_that_the_reader_reads():
    lib = FakeLibSystem()
    reader = MacosReader(lib)
    reader.machine(), reader.memory(), reader.swap(), reader.boot_time_seconds()
    assert lib.asked == set(SYSCTLS)
    assert command("sysctl", {}).words[:2] == ("/usr/sbin/sysctl", "-i")
    assert command("sysctl", {"sysctl": "/sim/sysctl"}).words[0] == "/sim/sysctl"


def test_every_command_that_is_ever_wanted_is_known():
    reader = MacosReader(AbsentLibSystem("no such library"))
    reader.memory(), reader.swap()
    with pytest.raises(OSError, match="no such library"):
        reader.thermal_level()
    with pytest.raises(OSError, match="no such library"):
        reader.cpu()
    assert set(reader.wants()) == set(COMMANDS)
    assert reader.memory() == Memory()
    assert reader.footprint_bytes(1) is None


def test_a_libsystem_that_cannot_be_loaded_is_no_crash(monkeypatch):
    def absent(*_args, **_options):
        raise OSError("image not found")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    with pytest.raises(OSError, match="image not found"):
        load().vm_statistics()


def test_the_gpu_is_as_busy_as_ioreg_says_and_unknown_without_it():
    reader = MacosReader(FakeLibSystem())
    assert reader.gpu_ratio() is None
    reader.feed("ioreg", (SAMPLES / "gpu/ioreg-IOAccelerator-m4pro-real.txt").read_text())
    assert reader.gpu_ratio() == 0.15
    reader.feed("ioreg", "")
    assert reader.gpu_ratio() is None


def test_what_the_kernel_lacks_is_unknown():
    lib = FakeLibSystem()
    lib.sysctls.clear()
    reader = MacosReader(lib)
    assert reader.memory() == Memory(compressions_total=22, decompressions_total=11)
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


ROOMS = ("gpu", "launchctl", "macmon", "memory", "power", "system", "thermal")
RECORDINGS = sorted(path for room in ROOMS for path in (SAMPLES / room).iterdir())


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_every_recording_as_the_text_of_every_command_is_readings_or_unknown(path):
    """A command that prints something else than it should never crashes the reader, and never gives a false 0."""
    reader = MacosReader(AbsentLibSystem("gone"))
    text = path.read_text(encoding="utf-8", errors="replace")
    for name in COMMANDS:
        reader.feed(name, text)
    memory, swap, machine = reader.memory(), reader.swap(), reader.machine()
    assert memory.pressure_level in (None, 1, 2, 4)
    assert reader.thermal_level() in (None, 0, 1, 2, 3, 4)
    assert reader.gpu_ratio() is None or 0 <= reader.gpu_ratio() <= 1
    counted = parse_vm_stat(text)
    if counted.wired is None:
        assert memory.wired_bytes is None
        assert swap.swapouts_bytes_total is None
    if "swapusage" not in text:
        assert swap.used_bytes is None
    if "hw.model" not in text:
        assert machine.hardware_model is None


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_every_recording_as_every_file_of_a_recorded_mac_is_a_sample(path, tmp_path):
    for name in ("vm_stat.txt", "sysctl.txt", "thermal.txt", "ioreg.txt", "sw_vers.txt"):
        shutil.copyfile(path, tmp_path / name)
    sampler = Sampler(RecordedReader(tmp_path), FakeClock(), node="n", version="0", disks=())
    sample = sampler.sample()
    assert [item.problem for item in sample.collectors if not item.ok] == []
    render(sample)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_the_fake_mac_fed_with_a_recording_gives_the_sample_of_the_recorded_mac(path, tmp_path):
    """What other tests believe of a FakeMac holds for a Mac that says the same."""
    for name in ("vm_stat.txt", "sysctl.txt", "thermal.txt", "ioreg.txt", "sw_vers.txt"):
        shutil.copyfile(path, tmp_path / name)
    recorded = RecordedReader(tmp_path)
    fake = FakeMac(
        memory_reading=recorded.memory(),
        swap_reading=recorded.swap(),
        machine_reading=recorded.machine(),
        boot=recorded.boot_time_seconds(),
        thermal=recorded.thermal_level(),
        times=recorded.cpu(),
        gpu=recorded.gpu_ratio(),
        load=recorded.load_1m(),
        name=recorded.name,
    )
    samples = [Sampler(mac, FakeClock(), node="n", version="0", disks=()).sample() for mac in (recorded, fake)]
    assert render(samples[0]) == render(samples[1])
