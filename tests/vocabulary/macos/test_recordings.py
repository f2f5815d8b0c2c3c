"""What real Macs printed is read as what it says. Provenance of every sample: tests/samples/MACOS.md."""

import pytest

from fleet.vocabulary.macos.disks import FileSystem, parse_df
from fleet.vocabulary.macos.ioreg import Accelerators, parse_ioreg_accelerators
from fleet.vocabulary.macos.lsof import Listener, parse_listeners
from fleet.vocabulary.macos.memory_pressure import MemoryPressure, parse_memory_pressure
from fleet.vocabulary.macos.notifyutil import THERMAL_KEY, parse_notify_state, thermal_level
from fleet.vocabulary.macos.pmset import PowerLimits, parse_pmset, parse_power_source, parse_therm
from fleet.vocabulary.macos.sysctl import (
    SwapUsage,
    parse_boottime,
    parse_loadavg,
    parse_percent,
    parse_pressure_level,
    parse_swapusage,
    parse_sysctl,
    parse_sysctl_values,
    parse_written,
)
from fleet.vocabulary.macos.system import Hardware, OsVersion, parse_fdesetup, parse_sw_vers, parse_system_profiler
from fleet.vocabulary.macos.vm_stat import VmStat, parse_vm_stat

MIB = 1024**2
GIB = 1024**3


def test_vm_stat_of_macos_27_with_its_new_lines_is_read_whole(sample):
    read = parse_vm_stat(sample("memory/vm_stat-m5-real.txt"))
    assert read == VmStat(
        page_size_bytes=16384,
        free=35025,
        active=1116696,
        inactive=947360,
        speculative=171926,
        wired=222249,
        purgeable=302,
        file_backed=1319934,
        anonymous=916048,
        stored_in_compressor=1650162,
        occupied_by_compressor=591421,
        decompressions=986859363,
        compressions=1282540747,
        pageins=6208666268,
        pageouts=10679421,
        swapins=41718162,
        swapouts=69922789,
    )


def test_vm_stat_under_pressure_shows_real_swapping(sample):
    read = parse_vm_stat(sample("memory/vm_stat-pressure-synthetic.txt"))
    assert (read.wired, read.swapouts) == (2211904, 16604112)
    assert read.bytes_of(read.wired) == 2211904 * 16384


def test_counters_that_a_trimmed_vm_stat_lacks_are_unknown_and_not_zero(sample):
    read = parse_vm_stat(sample("memory/vm_stat-m3pro-18g-real-trimmed.txt"))
    assert read.occupied_by_compressor == 24572
    assert read.swapins is None
    assert read.bytes_of(read.swapouts) is None


def test_a_vm_stat_cut_within_a_number_does_not_become_a_smaller_number(sample):
    text = sample("memory/vm_stat-m5-real.txt")
    cut = text[: text.index("1116696") + 4]
    assert parse_vm_stat(cut).active is None
    assert parse_vm_stat(cut).free == 35025


def test_every_recorded_swapusage_is_read(sample):
    lines = sample("memory/sysctl-swapusage-variants.txt").splitlines()
    used = [parse_swapusage(parse_sysctl(line)["vm.swapusage"]).used_bytes for line in lines]
    assert used == [0, int(4454.12 * MIB), int(162.44 * MIB), 5120 * MIB, int(9811.5 * MIB)]


def test_sysctl_with_names_is_read_by_name(sample):
    values = parse_sysctl(sample("memory/sysctl-i-pressure4-synthetic.txt"))
    assert parse_pressure_level(values["kern.memorystatus_vm_pressure_level"]) == 4
    assert parse_percent(values["kern.memorystatus_level"]) == 0.07
    assert values["iogpu.wired_limit_mb"] == "40960"


def test_sysctl_without_names_is_read_by_position(sample):
    text = sample("memory/sysctl-n-pressure-and-swap-m4pro-real.txt")
    values = parse_sysctl_values(text, ("kern.memorystatus_vm_pressure_level", "vm.swapusage"))
    assert values["kern.memorystatus_vm_pressure_level"] == "1"
    assert parse_swapusage(values["vm.swapusage"]) == SwapUsage(
        total_bytes=4096 * MIB, used_bytes=int(2452.94 * MIB), free_bytes=int(1643.06 * MIB), encrypted=True
    )
    assert parse_sysctl_values(text, ("one", "two", "three")) == {}


def test_the_hardware_of_a_mac_studio_is_read_by_position(sample):
    names = ("hw.memsize", "hw.ncpu", "machdep.cpu.brand_string")
    values = parse_sysctl_values(sample("system/sysctl-n-memsize-ncpu-brand-macstudio.txt"), names)
    assert values == {"hw.memsize": "68719476736", "hw.ncpu": "24", "machdep.cpu.brand_string": "Apple M2 Ultra"}


def test_sysctl_hw_of_an_m3_max_is_read_by_name(sample):
    values = parse_sysctl(sample("system/sysctl-hw-m3max-128g-real.txt"))
    assert values["hw.memsize"] == "137438953472"
    assert values["hw.optional.arm64"] == "1"
    assert values["hw.perflevel1.physicalcpu"] == "4"


def test_wired_limit_reads_and_writes_are_told_apart(sample):
    lines = sample("memory/sysctl-iogpu.txt").splitlines()
    values = [parse_sysctl(line).get("iogpu.wired_limit_mb") for line in lines]
    assert [value for value in values if value] == ["0", "0", "0 -> 14000", "0 -> 114688"]
    assert parse_written("0 -> 14000") == (0, 14000)
    assert parse_written("14000") is None
    assert parse_sysctl("sysctl: unknown oid 'machdep.xcpm.cpu_thermal_level'") == {}


def test_boot_time_and_load_are_read(sample):
    lines = sample("system/ps-variants.txt").splitlines()
    assert parse_loadavg(lines[-2]) == (2.78, 3.45, 3.39)
    assert parse_boottime(lines[-1]) == 1784098183.710968


@pytest.mark.parametrize("level", [0, 1, 2, 3, 4])
def test_every_thermal_level_is_read(sample, level):
    state = parse_notify_state(sample(f"thermal/notifyutil-level-{level}.txt"), THERMAL_KEY)
    assert thermal_level(state) == level


def test_a_failed_notifyutil_and_another_key_are_unknown(sample):
    assert parse_notify_state(sample("thermal/notifyutil-failed.txt"), THERMAL_KEY) is None
    assert parse_notify_state(sample("thermal/notifyutil-missing-key.txt"), THERMAL_KEY) is None


@pytest.mark.parametrize("state", [-1, 5, 10, 50, None])
def test_a_level_that_macos_does_not_have_is_unknown(state):
    assert thermal_level(state) is None


@pytest.mark.parametrize("value", ["0", "3", "5", "", "x", None])
def test_a_pressure_level_that_is_not_1_2_or_4_is_unknown(value):
    assert parse_pressure_level(value) is None


def test_power_settings_of_a_mac_studio_are_read(sample):
    settings = parse_pmset(sample("power/pmset-g-custom-macstudio.txt"))
    assert list(settings.sections) == ["AC Power"]
    assert settings.value("sleep") == "0"
    assert settings.value("autorestart") == "0"
    assert settings.value("Sleep On Power Button") == "1"


def test_power_settings_of_a_laptop_are_those_of_mains(sample):
    settings = parse_pmset(sample("power/pmset-g-custom-macbookpro-m1-macos26.txt"))
    assert list(settings.sections) == ["Battery Power", "AC Power"]
    assert settings.sections["Battery Power"]["womp"] == "0"
    assert settings.value("womp") == "1"
    assert settings.value("hibernatefile") == "/var/vm/sleepimage"


def test_what_prevents_sleep_is_a_note_and_not_part_of_the_value(sample):
    settings = parse_pmset(sample("power/pmset-g-macbookpro-m1-macos26.txt"))
    assert settings.value("sleep") == "1"
    assert settings.notes == {"sleep": "sleep prevented by powerd, Claude, sharingd"}


def test_disabled_sleep_is_read_where_it_was_set(sample):
    settings = parse_pmset(sample("power/pmset-g-with-SleepDisabled.txt"))
    assert (settings.value("SleepDisabled"), settings.value("sleep")) == ("1", "1")
    assert parse_pmset(sample("power/pmset-g-custom-macstudio.txt")).value("SleepDisabled") is None


def test_power_limits_are_unknown_where_apple_silicon_says_nothing(sample):
    assert parse_therm(sample("power/pmset-g-therm-applesilicon-none.txt")) == PowerLimits()
    assert parse_therm(sample("power/pmset-g-therm-cpu-power-notify.txt")) == PowerLimits(
        scheduler_limit_ratio=1.0, available_cpus=12
    )
    assert parse_therm(sample("power/pmset-g-therm-intel.txt")).speed_limit_ratio == 1.0


def test_the_power_source_is_read(sample):
    assert parse_power_source(sample("power/pmset-g-batt.txt")) == "AC Power"
    assert parse_power_source("Now drawing from nothing") is None


def test_memory_pressure_is_read_in_both_forms(sample):
    assert parse_memory_pressure(sample("memory/memory_pressure-16g-real.txt")) == MemoryPressure(
        total_bytes=16 * GIB,
        page_size_bytes=16384,
        free_ratio=0.57,
        wired_pages=123956,
        compressor_pages=308084,
        swapins=0,
        swapouts=0,
    )
    assert parse_memory_pressure(sample("memory/memory_pressure-Q.txt")) == MemoryPressure(
        total_bytes=16 * GIB, page_size_bytes=16384, free_ratio=0.47
    )


def test_macos_and_filevault_are_read(sample):
    assert parse_sw_vers(sample("system/sw_vers.txt")) == OsVersion(product="macOS", version="15.0", build="24A335")
    on, off = sample("system/fdesetup-status-variants.txt").splitlines()
    assert (parse_fdesetup(on), parse_fdesetup(off)) == (True, False)
    assert parse_fdesetup("FileVault is On, but needs to be restarted to finish.") is None


def test_hardware_is_read_with_three_and_with_four_fields_of_cores(sample):
    assert parse_system_profiler(sample("system/system_profiler-hw-macbookair-m1-masked.json")) == Hardware(
        chip="Apple M1",
        model="MacBookAir10,1",
        memory_bytes=16 * GIB,
        cores=8,
        performance_cores=4,
        efficiency_cores=4,
    )
    studio = parse_system_profiler(sample("system/system_profiler-hw-macstudio-m2ultra-masked.json"))
    assert (studio.chip, studio.cores, studio.performance_cores, studio.efficiency_cores) == (
        "Apple M2 Ultra",
        24,
        16,
        8,
    )


def test_the_hardware_of_a_virtual_machine_has_a_number_of_cores_only():
    assert parse_system_profiler('{"SPHardwareDataType": [{"number_processors": 4}]}') == Hardware(cores=4)


def test_room_on_the_data_volume_is_read(sample):
    assert parse_df(sample("system/df-h-real.txt")) == (
        FileSystem(device="/dev/disk4s1s1", mount="/", total_bytes=123 * GIB, available_bytes=17 * GIB),
        FileSystem(
            device="/dev/disk4s5", mount="/System/Volumes/Data", total_bytes=123 * GIB, available_bytes=17 * GIB
        ),
    )


def test_listening_sockets_are_read(sample):
    found = parse_listeners(sample("system/lsof-tcp-listen-real.txt"))
    assert [listener.port for listener in found] == [49276, 49276, 19292]
    assert found[2] == Listener(command="AdobeReso", pid=1401, user="alice", host="127.0.0.1", port=19292)


def test_gpu_use_is_read_by_whole_keys(sample):
    assert parse_ioreg_accelerators(sample("gpu/ioreg-IOAccelerator-m4pro-real.txt")) == Accelerators(
        busy_ratio=0.15, used_bytes=1341079552, allocated_bytes=11442683904
    )
    assert parse_ioreg_accelerators("") == Accelerators()
