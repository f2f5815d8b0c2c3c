"""Every recording of a Mac has a reader that understands it, or a reason why nothing of ours reads such a text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet.vocabulary.launchctl import parse_list, parse_list_label, parse_print, parse_print_disabled
from fleet.vocabulary.macos.disks import parse_df
from fleet.vocabulary.macos.firewall import parse_block_all, parse_firewall
from fleet.vocabulary.macos.ioreg import parse_ioreg_accelerators
from fleet.vocabulary.macos.lsof import parse_listeners
from fleet.vocabulary.macos.memory_pressure import parse_memory_pressure
from fleet.vocabulary.macos.notifyutil import THERMAL_KEY, parse_notify_state
from fleet.vocabulary.macos.pmset import parse_pmset, parse_power_source, parse_therm
from fleet.vocabulary.macos.sysctl import (
    parse_boottime,
    parse_loadavg,
    parse_swapusage,
    parse_sysctl,
    parse_sysctl_values,
)
from fleet.vocabulary.macos.system import parse_fdesetup, parse_sw_vers, parse_system_profiler
from fleet.vocabulary.macos.vm_stat import parse_vm_stat

SAMPLES = Path(__file__).parents[2] / "samples"
OF_OTHERS = {"bench", "chat_streams", "clients", "mlx", "previous-release", "rankings"}
"""Folders of samples that are not of a Mac's commands. Their own tests read them."""
ROOMS = sorted(path.name for path in SAMPLES.iterdir() if path.is_dir() and path.name not in OF_OTHERS)
RECORDINGS = sorted(f"{room}/{path.name}" for room in ROOMS for path in (SAMPLES / room).iterdir())


def _thermal(text: str) -> int | None:
    return parse_notify_state(text, THERMAL_KEY)


def _values(text: str) -> dict[str, str]:
    """`sysctl -n` prints values without their names."""
    return parse_sysctl_values(text, [str(number) for number, _ in enumerate(text.splitlines())])


def _boots_and_loads(text: str) -> list[object]:
    return [found for line in text.splitlines() for found in (parse_boottime(line), parse_loadavg(line)) if found]


READERS: dict[str, Callable[[str], Any]] = {
    "gpu/ioreg-": parse_ioreg_accelerators,
    "launchctl/list-label-": parse_list_label,
    "launchctl/list-table": parse_list,
    "launchctl/print-disabled-": parse_print_disabled,
    "launchctl/print-": parse_print,
    "memory/memory_pressure-": parse_memory_pressure,
    "memory/sysctl-n-": parse_swapusage,
    "memory/sysctl-": parse_sysctl,
    "memory/vm_stat-": parse_vm_stat,
    "power/pmset-g-batt": parse_power_source,
    "power/pmset-g-therm-": parse_therm,
    "power/pmset-": parse_pmset,
    "system/df-": parse_df,
    "system/fdesetup-": parse_fdesetup,
    "system/lsof-": parse_listeners,
    "system/ps-variants": _boots_and_loads,
    "system/socketfilterfw-getblockall-": parse_block_all,
    "system/socketfilterfw-getglobalstate-": parse_firewall,
    "system/sw_vers": parse_sw_vers,
    "system/sysctl-n-": _values,
    "system/sysctl-": parse_sysctl,
    "system/system_profiler-": parse_system_profiler,
    "thermal/notifyutil-": _thermal,
}
"""By the beginning of a recording's name; the first that fits."""
SAYS_NOTHING = {
    "power/pmset-g-therm-applesilicon-none.txt": "it says that nothing was recorded",
    "thermal/notifyutil-failed.txt": "it says that the key is not known",
    "thermal/notifyutil-missing-key.txt": "it says 0 for a key that nobody publishes: not the thermal key",
}
"""Read, and rightly unknown."""
NOT_READ = {
    "gpu/footprint-": "the footprint is asked of the kernel (proc_pid_rusage)",
    "launchctl/errors.yaml": "for the simulated launchctl: what it refuses with",
    "launchctl/limit.txt": "for people",
    "launchctl/log-lines.txt": "for the simulated unified log",
    "openclaw/": "what a schema of OpenClaw says, which tests/clients holds its configuration to",
    "ledger/": "a front's ledger of an older schema, for its migration",
    "macmon/": "macmon is no part of a node; for who adds it",
    "system/stub-and-sudo-messages.txt": "doctor asks for exit codes; for the simulation",
    "system/systemsetup-": "doctor looks whether sshd answers: systemsetup wants an administrator",
    "system/top-": "the kernel is asked",
    "system/uname-a-": "sysctl is asked",
    "thermal/powermetrics-": "it wants root and a second of time; notify(3) is asked",
}
"""With the reason."""


def reader_of(name: str) -> Callable[[str], Any] | None:
    return next((reader for prefix, reader in READERS.items() if name.startswith(prefix)), None)


def test_there_are_recordings():
    assert len(RECORDINGS) > 60


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_has_one_reader_that_understands_it_or_a_reason(name):
    reader = reader_of(name)
    reasons = [reason for prefix, reason in NOT_READ.items() if name.startswith(prefix)]
    assert (reader is not None) != bool(reasons), f"{name}: name its reader in READERS, or say in NOT_READ why none is"
    if reader is not None:
        text = (SAMPLES / name).read_text(encoding="utf-8", errors="replace")
        assert (reader(text) != reader("")) == (name not in SAYS_NOTHING), f"{name}: {reader.__name__} reads nothing"


@pytest.mark.parametrize("prefix", sorted({*READERS, *NOT_READ, *SAYS_NOTHING}))
def test_no_reader_and_no_reason_is_left_over(prefix):
    assert [name for name in RECORDINGS if name.startswith(prefix)]
