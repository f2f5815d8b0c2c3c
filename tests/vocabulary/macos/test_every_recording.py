"""Every recording through every parser: none raises, and each speaks of its own command's text only."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import fleet.vocabulary.macos
from fleet.vocabulary.macos.pmset import parse_pmset

ROOMS = ("gpu", "launchctl", "macmon", "memory", "power", "system", "thermal")
RECORDINGS = {
    path.name: path.read_text(encoding="utf-8", errors="replace")
    for room in ROOMS
    for path in sorted((Path(__file__).parents[2] / "samples" / room).iterdir())
}


def parsers() -> dict[str, object]:
    """Every `parse_*` of one text, by its name."""
    names = [f"fleet.vocabulary.macos.{found.name}" for found in pkgutil.iter_modules(fleet.vocabulary.macos.__path__)]
    return {
        name: value
        for module in map(importlib.import_module, [*names, "fleet.vocabulary.launchctl"])
        for name, value in vars(module).items()
        if name.startswith("parse_")
        and inspect.isfunction(value)
        and value.__module__ == module.__name__
        and len(inspect.signature(value).parameters) == 1
    }


SPEAKS_OF = {
    "parse_df": "df-h-",
    "parse_fdesetup": "fdesetup-",
    "parse_ioreg_accelerators": "ioreg-",
    "parse_list": "list-table",
    "parse_list_label": "list-label-",
    "parse_listeners": "lsof-",
    "parse_memory_pressure": "memory_pressure-",
    "parse_power_source": "pmset-g-batt",
    "parse_print": "print-",
    "parse_print_disabled": "print-disabled-",
    "parse_sw_vers": "sw_vers",
    "parse_swapusage": "sysctl-",
    "parse_system_profiler": "system_profiler-",
    "parse_therm": "pmset-g-therm-",
    "parse_vm_stat": "vm_stat-",
}


@pytest.mark.parametrize("name", sorted(parsers()))
def test_no_recording_makes_a_parser_raise(name):
    for text in RECORDINGS.values():
        parsers()[name](text)


@pytest.mark.parametrize(("name", "prefix"), sorted(SPEAKS_OF.items()))
def test_a_parser_speaks_of_its_own_command_and_is_silent_on_every_other(name, prefix):
    parse = parsers()[name]
    silent = parse("")
    speaks = {recording for recording, text in RECORDINGS.items() if parse(text) != silent}
    assert speaks
    assert {recording for recording in speaks if not recording.startswith(prefix)} == set()


def test_no_other_text_sets_a_power_setting():
    """pmset's own lines have no mark: what it reads elsewhere stands under no heading of power."""
    for recording, text in RECORDINGS.items():
        if not recording.startswith("pmset-"):
            read = parse_pmset(text)
            assert [read.value(key) for key in ("sleep", "autorestart", "lowpowermode")] == [None] * 3, recording
