"""The metrics text: readable by Prometheus' own parser, by the naming rules, and without a series for the unknown."""

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from fleet.node.agent.metrics import render
from fleet.node.agent.recorded import RecordedReader
from fleet.node.agent.sampler import Sampler
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.snapshot import (
    AgentReading,
    CareReading,
    Disk,
    HistoryReading,
    Memory,
    Panics,
    ServiceReading,
    SidecarReading,
    Snapshot,
)

SAMPLES = Path(__file__).parents[2] / "samples"
OF_ANY_PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds", "process_start_time_seconds"}
"""The names that every Prometheus client has for its own process."""
GOLDEN = Path(__file__).parent / "goldens" / "metrics.prom"


@pytest.fixture
def snapshot(tmp_path) -> Snapshot:
    """A node under pressure, from recordings."""
    shutil.copy(SAMPLES / "memory/vm_stat-pressure-synthetic.txt", tmp_path / "vm_stat.txt")
    parts = ("memory/sysctl-i-pressure4-synthetic.txt", "system/sysctl-hw-m3max-128g-real.txt")
    extra = "kern.boottime: { sec = 1784098183, usec = 710968 } Wed Jul 15 14:49:43 2026\n"
    (tmp_path / "sysctl.txt").write_text("".join((SAMPLES / part).read_text() for part in parts) + extra)
    shutil.copy(SAMPLES / "thermal/notifyutil-level-2.txt", tmp_path / "thermal.txt")
    shutil.copy(SAMPLES / "gpu/ioreg-IOAccelerator-m4pro-real.txt", tmp_path / "ioreg.txt")
    sampler = Sampler(
        RecordedReader(tmp_path),
        FakeClock(),
        node="mini-1",
        version="0.1.0",
        disks=("/", "/opt/fleet"),
        disk=lambda mount: Disk(mount=mount, total_bytes=500 * 10**9, free_bytes=120 * 10**9),
    )
    return msgspec.structs.replace(
        sampler.sample(),
        services=(
            ServiceReading(
                name="agent", label="org.fleet-macs.agent", up=True, pid=71, runs=1, last_exit="(never exited)"
            ),
            ServiceReading(
                name="sidecar.chat", label="org.fleet-macs.sidecar.chat", up=False, runs=3, last_exit="78: EX_CONFIG"
            ),
            ServiceReading(name="gateway", label="org.fleet-macs.gateway"),
        ),
        sidecars=(
            SidecarReading(name="chat", model='odd "name"\\', port=8800, live=True, ready=False, probe_seconds=0.25),
            SidecarReading(
                name="code",
                model="qwen3",
                port=8801,
                live=True,
                ready=True,
                pace_ratio=0.5,
                baseline_tokens_per_second=60.0,
                baseline_first_token_seconds=0.4,
                golden_ok=True,
                care=CareReading(state="quarantined", restarts_total=2),
            ),
        ),
        panics=Panics(count=1, newest_at_seconds=1795340000.0, newest_name="panic-full.panic"),
        agent=AgentReading(
            resident_bytes=19 * 2**20,
            cpu_seconds_total=1.25,
            started_at_seconds=1795300000.0,
            late_seconds=0.001,
            most_late_seconds=0.02,
        ),
        history=HistoryReading(samples=17280, minutes=10080, file_bytes=12 * 2**20, resets_total=1),
    )


def values(text: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.value)
    return found


def test_the_text_of_the_recordings_is_the_golden_one(snapshot, request):
    text = render(snapshot).decode()
    if request.config.getoption("--update-goldens"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_prometheus_own_parser_reads_it(snapshot):
    read = values(render(snapshot).decode())
    assert read["fleet_memory_pressure_level"] == [4]
    assert read["fleet_thermal_pressure_level"] == [2]
    assert read["fleet_service_up"] == [1, 0]
    assert read["fleet_service_last_exit_code"] == [78]
    assert read["fleet_swapouts_bytes_total"] == [16604112 * 16384]
    assert read["fleet_probe_success"] == [0, 1]
    assert read["fleet_sidecar_pace_ratio"] == [0.5]
    assert read["fleet_sidecar_quarantined"] == [1]


def test_promtool_finds_nothing_to_complain_about(snapshot):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here")
    checked = subprocess.run([promtool, "check", "metrics"], input=render(snapshot), capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_every_collector_says_how_it_went_and_how_long_it_took(snapshot):
    read = values(render(snapshot).decode())
    assert len(read["fleet_collector_success"]) == len(snapshot.collectors)
    assert len(read["fleet_collector_duration_seconds"]) == len(snapshot.collectors)


def test_names_follow_the_rules(snapshot):
    for family in text_string_to_metric_families(render(snapshot).decode()):
        assert family.name.startswith("fleet_") or family.name in OF_ANY_PROCESS
        assert family.documentation
        assert family.type in {"gauge", "counter"}
        assert not any(family.name.endswith(unit) for unit in ("_percent", "_ms", "_mb", "_kb", "_gb"))
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total")
            assert "node" not in sample.labels


def test_an_unknown_reading_has_no_series():
    text = render(Snapshot(node="n", at_seconds=1.0, agent_version="0", readings="macos", memory=Memory())).decode()
    names = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    assert names == {"fleet_agent_info", "fleet_sample_timestamp_seconds"}


def test_the_path_of_a_folder_of_recordings_is_in_no_label(snapshot):
    assert b"/tmp" not in render(msgspec.structs.replace(snapshot, readings="file:/tmp/x"))


@given(st.text(max_size=40))
def test_any_model_name_comes_back_from_its_label(name):
    car = SidecarReading(name="chat", model=name, port=1, live=True)
    text = render(Snapshot(node="n", at_seconds=1.0, agent_version="0", readings="linux", sidecars=(car,))).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    (live,) = [sample for sample in samples if sample.name == "fleet_sidecar_live"]
    assert live.labels == {"service": "chat", "model": name}


@given(st.one_of(st.none(), st.floats(), st.integers(-(2**70), 2**70)))
def test_any_number_is_a_number_or_no_series(value):
    text = render(Snapshot(node="n", at_seconds=1.0, agent_version="0", readings="linux", load_1m=value)).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    shown = [float(sample.value) for sample in samples if sample.name == "fleet_load1"]
    assert shown in ([], [float(value or 0)])
