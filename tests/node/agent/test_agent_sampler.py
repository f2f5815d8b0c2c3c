"""Samples: collectors fail alone, rates come from counters, unknown is never 0."""

from fleet.node.agent.agent import Ticker
from fleet.node.agent.reading import CpuTimes
from fleet.node.agent.sampler import Sampler
from fleet.testing.clock import FakeClock
from fleet.testing.mac import FakeMac
from fleet.vocabulary.contracts.snapshot import Disk, Memory, Swap


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


def test_a_ticker_keeps_its_pace_and_does_not_catch_up_after_a_pause():
    ticks = []
    ticker = Ticker(5.0, lambda: ticks.append(1), first_at=100.0)
    ticker.wake(99.9)
    assert ticks == []
    ticker.wake(101.0)
    assert (len(ticks), ticker.next_at()) == (1, 105.0)
    ticker.wake(500.0)
    ticker.wake(500.1)
    assert (len(ticks), ticker.next_at()) == (2, 505.0)
