"""Our readings are those of Apple's own commands."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from fleet.node.agent.memory import memory_of
from fleet.node.agent.processes import Processes
from fleet.node.agent.sampler import Sampler
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.snapshot import Memory
from fleet.vocabulary.macos.disks import parse_df
from fleet.vocabulary.macos.ioreg import parse_ioreg_accelerators
from fleet.vocabulary.macos.lsof import parse_listeners
from fleet.vocabulary.macos.memory_pressure import parse_memory_pressure
from fleet.vocabulary.macos.notifyutil import THERMAL_KEY, parse_notify_state, thermal_level
from fleet.vocabulary.macos.pmset import parse_pmset, parse_power_source
from fleet.vocabulary.macos.sysctl import parse_boottime, parse_loadavg, parse_swapusage, parse_sysctl
from fleet.vocabulary.macos.system import parse_fdesetup, parse_sw_vers, parse_system_profiler
from fleet.vocabulary.macos.vm_stat import parse_vm_stat
from fleet.vocabulary.units import MIB

SYSCTL = "/usr/sbin/sysctl"


@pytest.fixture
def reader():
    from fleet.node.agent.libsystem import CtypesLibSystem
    from fleet.node.agent.macos import MacosReader

    return MacosReader(CtypesLibSystem())


def close(one: int | None, other: int | None, *, within: int) -> bool:
    return one is not None and other is not None and abs(one - other) <= within


def test_memory_is_what_vm_stat_says(reader, run):
    """The machine moves between the two readings: a quarter of it is more than it ever moves in that time."""
    values = parse_sysctl(run(SYSCTL, "hw.memsize"))
    total = int(values["hw.memsize"])
    theirs = memory_of(
        parse_vm_stat(run("/usr/bin/vm_stat")),
        total_bytes=total,
        pressure_level=None,
        free_ratio=None,
        wired_limit_mb=None,
    )
    ours = reader.memory()
    assert ours.total_bytes == total
    for name in ("wired_bytes", "compressed_bytes", "app_bytes", "cached_bytes", "free_bytes"):
        assert close(getattr(ours, name), getattr(theirs, name), within=total // 4), name
    assert close(ours.wired_bytes, theirs.wired_bytes, within=512 * MIB)
    assert reader.wants() == (), "host_statistics64 failed"


def test_swap_counters_are_those_of_vm_stat(reader, run):
    before = parse_vm_stat(run("/usr/bin/vm_stat"))
    ours = reader.swap()
    after = parse_vm_stat(run("/usr/bin/vm_stat"))
    assert before.bytes_of(before.swapouts) <= ours.swapouts_bytes_total <= after.bytes_of(after.swapouts)
    assert before.bytes_of(before.swapins) <= ours.swapins_bytes_total <= after.bytes_of(after.swapins)


def test_swap_in_use_is_what_sysctl_says(reader, run):
    theirs = parse_swapusage(parse_sysctl(run(SYSCTL, "vm.swapusage"))["vm.swapusage"])
    assert close(reader.swap().used_bytes, theirs.used_bytes, within=1024 * MIB)


def test_pressure_and_identity_are_what_sysctl_says(reader, run):
    names = ("kern.memorystatus_vm_pressure_level", "hw.model", "machdep.cpu.brand_string", "kern.osproductversion")
    values = parse_sysctl(run(SYSCTL, *names))
    assert reader.memory().pressure_level == int(values["kern.memorystatus_vm_pressure_level"])
    machine = reader.machine()
    assert (machine.hardware_model, machine.chip, machine.os_version) == tuple(values[name] for name in names[1:])


def test_boot_time_is_what_sysctl_says(reader, run):
    theirs = parse_boottime(parse_sysctl(run(SYSCTL, "kern.boottime"))["kern.boottime"])
    assert abs(reader.boot_time_seconds() - theirs) < 2


def test_thermal_pressure_is_what_notifyutil_says(reader, run):
    """Read around ours, since it may change."""

    def theirs() -> int | None:
        return thermal_level(parse_notify_state(run("/usr/bin/notifyutil", "-g", THERMAL_KEY), THERMAL_KEY))

    assert reader.thermal_level() in {theirs(), theirs()}


def test_own_process_has_a_size_a_footprint_and_a_start(reader):
    process = Processes().read(os.getpid())
    assert process.resident_bytes > 10 * MIB
    assert 0 <= time.time() - process.started_at_seconds < 3600
    assert reader.footprint_bytes(os.getpid()) > 5 * MIB
    assert reader.footprint_bytes(99_999_999) is None
    assert Processes().read(99_999_999) is None


def test_of_another_users_process_the_start_is_known_and_the_size_is_not():
    process = Processes().read(1)
    assert process.started_at_seconds > 0
    assert process.resident_bytes is None or os.geteuid() == 0


def test_a_sample_fails_nowhere_and_is_fast(reader):
    sampler = Sampler(reader, SystemClock(), node="mac", version="0", disks=("/",))
    sampler.sample()
    sample = sampler.sample()
    assert [item.problem for item in sample.collectors if not item.ok] == []
    assert sample.memory != Memory()
    assert 0 <= sample.cpu_ratio <= 1
    assert sum(item.seconds for item in sample.collectors) < 0.5


def test_a_thousand_samples_keep_one_token_and_one_port(reader):
    """Leaked notify tokens or host ports would fail or slow down long before."""
    for _ in range(1000):
        reader.thermal_level()
        reader.memory()
        reader.cpu()
    assert reader.thermal_level() is not None


def test_every_other_command_that_fleet_reads_is_understood(run):
    assert parse_sw_vers(run("/usr/bin/sw_vers")).version
    assert parse_fdesetup(run("/usr/bin/fdesetup", "status")) is not None
    assert parse_pmset(run("/usr/bin/pmset", "-g", "custom")).value("sleep") is not None
    assert parse_pmset(run("/usr/bin/pmset", "-g")).value("sleep") is not None
    assert parse_power_source(run("/usr/bin/pmset", "-g", "batt")) is not None
    assert parse_memory_pressure(run("/usr/bin/memory_pressure", "-Q")).free_ratio is not None
    assert any(disk.mount == "/" for disk in parse_df(run("/bin/df", "-h")))
    assert parse_loadavg(parse_sysctl(run(SYSCTL, "vm.loadavg"))["vm.loadavg"]) is not None
    assert parse_system_profiler(run("/usr/sbin/system_profiler", "SPHardwareDataType", "-json")).cores
    parse_ioreg_accelerators(run("/usr/sbin/ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ports = {found.port for found in parse_listeners(run("/usr/sbin/lsof", "-nP", "-iTCP", "-sTCP:LISTEN"))}
        assert listener.getsockname()[1] in ports


def test_the_agent_runs_on_this_mac(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = tmp_path / "token"
    token.write_text("a-token")
    token.chmod(0o600)
    config = {
        "node": "mac",
        "port": port,
        "token_file": str(token),
        "readings": "macos",
        "domain": "system",
        "launchctl": "/bin/launchctl",
        "var_dir": str(tmp_path),
        "services": [{"name": "absent", "label": "org.fleet-macs.not-there"}],
        "fast_seconds": 0.5,
        "slow_seconds": 0.5,
    }
    (tmp_path / "agent.json").write_text(json.dumps(config))
    argv = [sys.executable, "-s", "-m", "fleet.node.agent", "--config", str(tmp_path / "agent.json")]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    try:
        assert "watches mac" in process.stderr.readline()
        url = f"http://127.0.0.1:{port}/v1/snapshot"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            request = urllib.request.Request(url, headers={"Authorization": "Bearer a-token"})
            with urllib.request.urlopen(request, timeout=5) as answer:
                snapshot = json.load(answer)
            if snapshot["services"][0]["up"] is not None:
                break
            time.sleep(0.2)
        assert snapshot["services"][0]["state"] == "not loaded"
        assert snapshot["memory"]["pressure_level"] in {1, 2, 4}
    finally:
        process.terminate()
        assert process.wait(10) == 0
        process.stderr.close()
