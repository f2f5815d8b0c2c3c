"""Samples: collectors fail alone, rates come from counters, unknown is never 0."""

import os
import sys
from pathlib import Path

import pytest

from fleet.node.agent.panics import panic_folder, read_panics
from fleet.node.agent.reading import CpuTimes, Machine
from fleet.node.agent.sampler import Sampler, read_disk
from fleet.testing.clock import FakeClock
from fleet.testing.mac import FakeMac
from fleet.vocabulary.contracts.snapshot import Disk, Memory, Panics, Swap


def a_sampler(mac: FakeMac, clock: FakeClock, **options) -> Sampler:
    settings = {"node": "mini-1", "version": "0.0", "disks": ("/",), "disk": lambda mount: Disk(mount=mount)}
    return Sampler(mac, clock, **{**settings, **options})


def swap(ins: int, outs: int) -> Swap:
    return Swap(used_bytes=0, swapins_bytes_total=ins, swapouts_bytes_total=outs)


def test_a_failing_collector_loses_its_own_reading_only():
    mac = FakeMac(broken={"memory": "host_statistics64 answered 5"})
    sample = a_sampler(mac, FakeClock()).sample()
    assert sample.memory == Memory()
    assert sample.thermal.pressure_level == 0
    failed = [collector for collector in sample.collectors if not collector.ok]
    assert [(collector.name, collector.problem) for collector in failed] == [("memory", "host_statistics64 answered 5")]


def test_everything_may_fail_and_there_is_still_a_sample():
    names = ("machine", "boot", "memory", "swap", "thermal", "cpu", "gpu", "load")
    sample = a_sampler(FakeMac(broken=dict.fromkeys(names, "no")), FakeClock()).sample()
    assert sample.node == "mini-1"
    assert {collector.name for collector in sample.collectors if not collector.ok} == set(names)


def test_rates_need_two_samples_and_are_per_second():
    mac, clock = FakeMac(swap_reading=swap(1000, 5000)), FakeClock()
    sampler = a_sampler(mac, clock)
    assert sampler.sample().swap.swapout_bytes_per_second is None
    clock.advance(5)
    mac.swap_reading = swap(1000, 10_000)
    sample = sampler.sample()
    assert sample.swap.swapout_bytes_per_second == 1000.0
    assert sample.swap.swapin_bytes_per_second == 0.0


def test_a_counter_that_fell_is_a_reboot_and_not_a_rate():
    mac, clock = FakeMac(swap_reading=swap(9000, 9000)), FakeClock()
    sampler = a_sampler(mac, clock)
    sampler.sample()
    clock.advance(5)
    mac.swap_reading = swap(10, 10)
    assert sampler.sample().swap.swapout_bytes_per_second is None


def test_after_a_reboot_even_a_risen_counter_gives_no_rate():
    mac, clock = FakeMac(swap_reading=swap(0, 0)), FakeClock()
    sampler = a_sampler(mac, clock)
    sampler.sample()
    clock.advance(5)
    mac.swap_reading, mac.boot = swap(10, 10), mac.boot + 90_000
    assert sampler.sample().swap.swapin_bytes_per_second is None


def test_a_corrected_clock_is_no_reboot():
    mac, clock = FakeMac(swap_reading=swap(0, 0)), FakeClock()
    sampler = a_sampler(mac, clock)
    sampler.sample()
    clock.advance(5)
    mac.swap_reading, mac.boot = swap(10, 10), mac.boot + 2
    assert sampler.sample().swap.swapin_bytes_per_second == 2.0


def test_cpu_is_the_busy_part_since_the_last_sample():
    mac, clock = FakeMac(times=CpuTimes(busy_seconds=1.0, total_seconds=10.0)), FakeClock()
    sampler = a_sampler(mac, clock)
    assert sampler.sample().cpu_ratio is None
    clock.advance(5)
    mac.times = CpuTimes(busy_seconds=3.5, total_seconds=20.0)
    assert sampler.sample().cpu_ratio == 0.25


def test_a_thermal_level_that_was_never_above_0_is_marked_so():
    mac, clock = FakeMac(), FakeClock()
    sampler = a_sampler(mac, clock)
    assert sampler.sample().thermal.ever_nonzero is False
    mac.thermal = 2
    sampler.sample()
    mac.thermal = 0
    assert sampler.sample().thermal.ever_nonzero is True


def test_a_disk_that_cannot_be_read_does_not_hide_the_others():
    def disk(mount: str) -> Disk:
        if mount == "/gone":
            raise FileNotFoundError(2, "No such file or directory")
        return Disk(mount=mount, total_bytes=100, free_bytes=50)

    sample = a_sampler(FakeMac(), FakeClock(), disks=("/gone", "/"), disk=disk).sample()
    assert sample.disks == (Disk(mount="/gone"), Disk(mount="/", total_bytes=100, free_bytes=50))


def test_the_first_sample_holds_every_tier_and_later_ones_only_the_fast_one():
    reads = []

    def disk(mount: str) -> Disk:
        reads.append(mount)
        return Disk(mount=mount, free_bytes=len(reads))

    sampler = a_sampler(FakeMac(), FakeClock(), disk=disk)
    assert sampler.sample().disks[0].free_bytes == 1
    assert sampler.sample().disks[0].free_bytes == 1
    sampler.read_disks()
    sample = sampler.sample()
    assert sample.disks[0].free_bytes == 2
    tiers = {collector.name: collector.tier for collector in sample.collectors}
    assert tiers["disk"] == "slow"
    assert tiers["machine"] == tiers["panics"] == "daily"
    assert {name for name, tier in tiers.items() if tier == "fast"} == {
        "boot",
        "swap",
        "cpu",
        "gpu",
        "load",
        "memory",
        "thermal",
    }


def test_a_machine_that_is_unknown_at_first_is_asked_for_again_and_then_only_daily():
    mac = FakeMac(broken={"machine": "too early"})
    sampler = a_sampler(mac, FakeClock())
    assert sampler.sample().os_version is None
    mac.broken.clear()
    sampler.complete()
    assert sampler.sample().os_version == "26.5.1"
    mac.machine_reading = Machine(os_version="27.0")
    sampler.complete()
    assert sampler.sample().os_version == "26.5.1"
    sampler.read_machine()
    assert sampler.sample().os_version == "27.0"


def test_the_disk_is_measured_without_psutil(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    room = read_disk("/")
    assert 0 <= room.free_bytes <= room.total_bytes


def test_panic_reports_are_counted_and_the_newest_is_named(tmp_path):
    assert read_panics(None) == read_panics(tmp_path / "absent") == Panics()
    assert read_panics(tmp_path) == Panics(count=0)
    for name, at in (
        ("panic-full-2026-11-20-031500.0002.panic", 100),
        ("panic-base-2026-11-21-031500.ips", 200),
        ("python3.12-2026-11-22-031500.ips", 300),
        ("ExcUserFault_fleet.ips", 400),
    ):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (at, at))
    assert read_panics(tmp_path) == Panics(
        count=2, newest_at_seconds=200.0, newest_name="panic-base-2026-11-21-031500.ips"
    )


def test_a_folder_of_panic_reports_that_may_not_be_read_is_unknown_and_not_empty(tmp_path):
    odd = tmp_path / "a-file"
    odd.write_text("")
    sample = a_sampler(FakeMac(), FakeClock(), panics=odd).sample()
    assert sample.panics == Panics()
    assert [item.name for item in sample.collectors if not item.ok] == ["panics"]


@pytest.mark.parametrize(
    ("readings", "folder"),
    [
        ("macos", Path("/Library/Logs/DiagnosticReports")),
        ("file:/some/where", Path("/some/where/DiagnosticReports")),
        ("linux", None),
    ],
)
def test_where_panic_reports_lie(readings, folder):
    assert panic_folder(readings) == folder
