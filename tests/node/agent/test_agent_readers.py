"""Recordings and /proc become readings, and unknown stays unknown."""

import os
import shutil
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.node.agent.linux import LinuxReader
from fleet.node.agent.procfs import (
    parse_boot,
    parse_cpu,
    parse_meminfo,
    parse_resident_pages,
    parse_start_ticks,
    parse_vmstat,
)
from fleet.node.agent.reading import CpuTimes, Machine
from fleet.node.agent.recorded import RecordedReader
from fleet.vocabulary.contracts.snapshot import Memory, Swap
from fleet.vocabulary.units import GIB, KIB, MIB

SAMPLES = Path(__file__).parents[2] / "samples"
PAGE = 16384


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


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")


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
    times = reader.cpu()
    assert 0 < times.busy_seconds <= times.total_seconds


@pytest.fixture
def proc(tmp_path) -> Path:
    """A /proc."""
    (tmp_path / "meminfo").write_text(
        "MemTotal: 8000 kB\nMemFree: 1000 kB\nMemAvailable: 6000 kB\nCached: 3000 kB\nSReclaimable: 500 kB\n"
        "SwapTotal: 400 kB\nSwapFree: 300 kB\n"
    )
    (tmp_path / "vmstat").write_text("pgpgin 7000000\npgpgout 8000000\npswpin 3\npswpout 5\n")
    return tmp_path


def test_linux_counts_swapping_and_not_file_paging(proc):
    page = os.sysconf("SC_PAGE_SIZE")
    assert LinuxReader(proc).swap() == Swap(
        used_bytes=100 * KIB, total_bytes=400 * KIB, swapins_bytes_total=3 * page, swapouts_bytes_total=5 * page
    )


def test_linux_counts_memory_as_free_does(proc):
    assert LinuxReader(proc).memory() == Memory(
        total_bytes=8000 * KIB, cached_bytes=3500 * KIB, free_bytes=1000 * KIB, free_ratio=0.75
    )


def test_what_the_kernel_does_not_tell_is_unknown_and_not_zero(proc):
    (proc / "vmstat").unlink()
    lines = ("MemTotal: 8000 kB", "MemFree: 1000 kB", "MemAvailable: 6000 kB", "SwapTotal: 0 kB", "SwapFree: 0 kB")
    (proc / "meminfo").write_text("\n".join(lines))
    assert LinuxReader(proc).swap() == Swap(used_bytes=0, total_bytes=0)
    assert LinuxReader(proc).memory().cached_bytes is None
    (proc / "meminfo").write_text("")
    assert LinuxReader(proc).memory() == Memory()
    assert LinuxReader(proc).swap() == Swap()


def test_processor_time_leaves_out_guests_and_waiting_for_disks(proc):
    ticks = os.sysconf("SC_CLK_TCK")
    (proc / "stat").write_text("cpu  100 10 50 800 40 5 5 10 70 0\ncpu0 1 1 1 1\nbtime 1784098183\n")
    reader = LinuxReader(proc)
    assert reader.cpu() == CpuTimes(busy_seconds=180 / ticks, total_seconds=1020 / ticks)
    assert reader.boot_time_seconds() == 1784098183.0


@linux_only
def test_linux_says_what_psutil_says():
    ours, theirs = LinuxReader(), psutil.virtual_memory()
    assert ours.memory().total_bytes == theirs.total
    assert ours.memory().cached_bytes == pytest.approx(theirs.cached, rel=0.2)
    assert ours.swap().total_bytes == psutil.swap_memory().total
    times = psutil.cpu_times()
    assert ours.cpu().total_seconds == pytest.approx(sum(times) - times.guest - times.guest_nice, rel=0.01)


@given(st.text(max_size=200))
def test_no_text_of_proc_raises(text):
    for parse in (parse_meminfo, parse_vmstat, parse_boot, parse_start_ticks, parse_resident_pages):
        parse(text)
    parse_cpu(f"cpu {text}", ticks_per_second=100)
