"""Odd, cut and foreign text gives unknown: no parser ever raises, and none invents a number."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.vocabulary.macos import digits, ioreg, memory_pressure, notifyutil, pmset, sysctl, system, vm_stat
from fleet.vocabulary.macos.disks import parse_df
from fleet.vocabulary.macos.lsof import parse_listeners

PARSERS = [
    vm_stat.parse_vm_stat,
    sysctl.parse_sysctl,
    lambda text: sysctl.parse_sysctl_values(text, ("a.b", "c.d")),
    sysctl.parse_swapusage,
    sysctl.parse_boottime,
    sysctl.parse_loadavg,
    sysctl.parse_pressure_level,
    sysctl.parse_percent,
    sysctl.parse_written,
    lambda text: notifyutil.thermal_level(notifyutil.parse_notify_state(text, notifyutil.THERMAL_KEY)),
    pmset.parse_pmset,
    pmset.parse_therm,
    pmset.parse_power_source,
    memory_pressure.parse_memory_pressure,
    system.parse_sw_vers,
    system.parse_fdesetup,
    system.parse_system_profiler,
    parse_df,
    parse_listeners,
    ioreg.parse_ioreg_accelerators,
    digits.whole,
    digits.decimal,
]
ROOMS = ("memory", "thermal", "power", "gpu", "system")
RECORDINGS = sorted(path for room in ROOMS for path in (Path(__file__).parents[2] / "samples" / room).iterdir())


@given(st.text(max_size=400))
def test_no_parser_raises_on_any_text(text):
    for parse in PARSERS:
        parse(text)


@given(st.sampled_from(RECORDINGS), st.data())
def test_no_parser_raises_on_a_recording_cut_anywhere(path, data):
    text = path.read_text()
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, len(text)))
    for parse in PARSERS:
        parse(text[start:stop])


@given(st.sampled_from(RECORDINGS), st.data())
def test_a_cut_vm_stat_never_shows_a_value_that_the_whole_one_has_not(path, data):
    if not path.name.startswith("vm_stat"):
        return
    text = path.read_text()
    whole = dataclasses.asdict(vm_stat.parse_vm_stat(text))
    cut = dataclasses.asdict(vm_stat.parse_vm_stat(text[: data.draw(st.integers(0, len(text)))]))
    assert all(value is None or value == whole[name] for name, value in cut.items())


@pytest.mark.parametrize("text", ["", "٣", "1_000", "0x10", "1e3", "9" * 21, "--1", "1 2", "nan", "inf"])
def test_what_is_not_a_plain_integer_is_no_integer(text):
    assert digits.whole(text) is None


def test_foreign_text_leaves_every_field_unknown():
    foreign = "zsh: command not found: vm_stat\n"
    assert vm_stat.parse_vm_stat(foreign) == vm_stat.VmStat()
    assert sysctl.parse_swapusage(foreign) == sysctl.SwapUsage()
    assert pmset.parse_therm(foreign) == pmset.PowerLimits()
    assert memory_pressure.parse_memory_pressure(foreign) == memory_pressure.MemoryPressure()
    assert system.parse_sw_vers(foreign) == system.OsVersion(product=None)
    assert system.parse_system_profiler(foreign) == system.Hardware()
    assert parse_df(foreign) == ()
    assert parse_listeners(foreign) == ()
