"""A snapshot as Prometheus text 0.0.4. Pure. An unknown reading has no series; it is never 0.

Base units, `_total` on counters, no `node` label: target labels belong to the scraper.
"""

from __future__ import annotations

import re

from fleet.vocabulary.contracts.snapshot import HistoryReading, Memory, Snapshot
from fleet.vocabulary.exposition import CONTENT_TYPE, Exposition

__all__ = ["CONTENT_TYPE", "render"]

_EXIT_CODE = re.compile(r"(-?[0-9]{1,9})(?:: .*)?")


def render(snapshot: Snapshot) -> bytes:
    """The text of `/metrics`."""
    text = Exposition()
    info = (
        ("version", snapshot.agent_version),
        ("schema", str(snapshot.schema)),
        ("readings", snapshot.readings.partition(":")[0]),
        ("os", snapshot.os_version or ""),
        ("chip", snapshot.chip or ""),
        ("hardware", snapshot.hardware_model or ""),
    )
    text.family("fleet_agent_info", "gauge", "What the agent and its machine are.", [(info, 1)])
    text.one("fleet_sample_timestamp_seconds", "gauge", "When the sample was taken.", snapshot.at_seconds)
    text.one("fleet_boot_timestamp_seconds", "gauge", "When the machine was booted.", snapshot.boot_time_seconds)
    text.one("fleet_cpu_active_ratio", "gauge", "Busy part of all cores since the last sample.", snapshot.cpu_ratio)
    text.one("fleet_gpu_active_ratio", "gauge", "Busy part of the GPU.", snapshot.gpu_ratio)
    text.one("fleet_load1", "gauge", "Load average of one minute.", snapshot.load_1m)
    _memory(text, snapshot)
    _swap(text, snapshot)
    text.one(
        "fleet_thermal_pressure_level",
        "gauge",
        "Thermal pressure: 0 nominal, 1 moderate, 2 heavy, 3 trapping, 4 sleeping.",
        snapshot.thermal.pressure_level,
    )
    text.one("fleet_panics", "gauge", "Panic reports on the machine.", snapshot.panics.count)
    text.one(
        "fleet_panic_timestamp_seconds",
        "gauge",
        "When the newest panic report was written.",
        snapshot.panics.newest_at_seconds,
    )
    _disks(text, snapshot)
    _services(text, snapshot)
    _sidecars(text, snapshot)
    _collectors(text, snapshot)
    _agent(text, snapshot)
    if snapshot.history is not None:
        _history(text, snapshot.history)
    return text.encode()


def _memory(text: Exposition, snapshot: Snapshot) -> None:
    memory = snapshot.memory
    text.one(
        "fleet_memory_pressure_level",
        "gauge",
        "Memory pressure as the kernel says: 1 normal, 2 warning, 4 critical.",
        memory.pressure_level,
    )
    text.one("fleet_memory_free_ratio", "gauge", "Free part as the kernel counts it.", memory.free_ratio)
    text.one("fleet_memory_total_bytes", "gauge", "Physical memory.", memory.total_bytes)
    kinds = {
        "wired": memory.wired_bytes,
        "compressed": memory.compressed_bytes,
        "app": memory.app_bytes,
        "cached": memory.cached_bytes,
        "free": memory.free_bytes,
    }
    text.family(
        "fleet_memory_bytes",
        "gauge",
        "Memory by kind; compressed is what the compressor occupies.",
        [((("kind", kind),), value) for kind, value in kinds.items()],
    )
    text.one("fleet_gpu_wired_limit_bytes", "gauge", "What the GPU may wire, where set.", memory.wired_limit_bytes)
    text.one(
        "fleet_gpu_wired_limit_expected_bytes",
        "gauge",
        "The limit that deploy set.",
        memory.wired_limit_expected_bytes,
    )
    text.one(
        "fleet_gpu_recommended_working_set_bytes",
        "gauge",
        "What the GPU is meant to hold, by Metal.",
        memory.recommended_working_set_bytes,
    )
    text.one("fleet_gpu_wired_headroom_bytes", "gauge", "Wired limit less wired memory.", memory.wired_headroom_bytes)
    text.one("fleet_wired_reserve_bytes", "gauge", "Physical memory less wired limit.", _reserve_bytes(memory))
    text.one("fleet_compressions_total", "counter", "Pages compressed since boot.", memory.compressions_total)
    text.one("fleet_decompressions_total", "counter", "Pages decompressed since boot.", memory.decompressions_total)


def _reserve_bytes(memory: Memory) -> int | None:
    if memory.total_bytes is None or memory.wired_limit_bytes is None:
        return None
    return memory.total_bytes - memory.wired_limit_bytes


def _swap(text: Exposition, snapshot: Snapshot) -> None:
    swap = snapshot.swap
    text.one("fleet_swap_used_bytes", "gauge", "Swap in use.", swap.used_bytes)
    text.one("fleet_swap_total_bytes", "gauge", "Size of the swap files, which grow on demand.", swap.total_bytes)
    text.one("fleet_swapins_bytes_total", "counter", "Swapped in since boot, without paging.", swap.swapins_bytes_total)
    text.one(
        "fleet_swapouts_bytes_total", "counter", "Swapped out since boot, without paging.", swap.swapouts_bytes_total
    )


def _disks(text: Exposition, snapshot: Snapshot) -> None:
    for name, about, field in (
        ("fleet_disk_total_bytes", "Size of the file system.", "total_bytes"),
        ("fleet_disk_free_bytes", "Room for an unprivileged process.", "free_bytes"),
    ):
        text.family(name, "gauge", about, [((("mount", disk.mount),), getattr(disk, field)) for disk in snapshot.disks])


def _services(text: Exposition, snapshot: Snapshot) -> None:
    labelled = [((("service", service.name),), service) for service in snapshot.services]
    text.family(
        "fleet_service_up",
        "gauge",
        "Whether launchd runs the service.",
        [(labels, None if service.up is None else int(service.up)) for labels, service in labelled],
    )
    text.family(
        "fleet_service_runs_total",
        "counter",
        "Spawns since launchd loaded the service.",
        [(labels, service.runs) for labels, service in labelled],
    )
    text.family(
        "fleet_service_last_exit_code",
        "gauge",
        "How it ended last, where that was by an exit code.",
        [(labels, _exit_code(service.last_exit)) for labels, service in labelled],
    )
    for name, about, field in (
        ("fleet_service_start_timestamp_seconds", "When its process started.", "started_at_seconds"),
        ("fleet_service_resident_bytes", "Resident memory, without what the GPU holds.", "resident_bytes"),
        ("fleet_service_footprint_bytes", "Physical footprint, with what the GPU holds.", "footprint_bytes"),
    ):
        text.family(name, "gauge", about, [(labels, getattr(service, field)) for labels, service in labelled])


def _sidecars(text: Exposition, snapshot: Snapshot) -> None:
    labelled = [((("service", car.name), ("model", car.model)), car) for car in snapshot.sidecars]
    for name, about, field in (
        ("fleet_sidecar_live", "Whether the server answers.", "live"),
        ("fleet_probe_success", "Whether a completion of one token came back.", "ready"),
        ("fleet_probe_duration_seconds", "How long the last probe took.", "probe_seconds"),
        ("fleet_sidecar_pace_ratio", "Its tokens/s as part of what is usual here, like with like.", "pace_ratio"),
        (
            "fleet_sidecar_baseline_tokens_per_second",
            "What is usual here for answers as those of now.",
            "baseline_tokens_per_second",
        ),
        (
            "fleet_sidecar_baseline_first_token_seconds",
            "The usual time to a first token.",
            "baseline_first_token_seconds",
        ),
        ("fleet_sidecar_golden_success", "Whether the known long prompt got its known answer.", "golden_ok"),
    ):
        values = [(labels, getattr(car, field)) for labels, car in labelled]
        text.family(name, "gauge", about, values)
    cared = [(labels, car.care) for labels, car in labelled if car.care is not None]
    text.family(
        "fleet_sidecar_restarts_total",
        "counter",
        "Restarts by its agent.",
        [(labels, care.restarts_total) for labels, care in cared],
    )
    text.family(
        "fleet_sidecar_quarantined",
        "gauge",
        "Whether its agent took it out of service.",
        [(labels, int(care.state == "quarantined")) for labels, care in cared],
    )


def _collectors(text: Exposition, snapshot: Snapshot) -> None:
    labelled = [((("collector", collector.name),), collector) for collector in snapshot.collectors]
    text.family(
        "fleet_collector_success",
        "gauge",
        "Whether the collector could read.",
        [(labels, int(collector.ok)) for labels, collector in labelled],
    )
    text.family(
        "fleet_collector_duration_seconds",
        "gauge",
        "How long the collector took.",
        [(labels, collector.seconds) for labels, collector in labelled],
    )


def _agent(text: Exposition, snapshot: Snapshot) -> None:
    """The agent itself; the names of its process are those of every Prometheus client."""
    own = snapshot.agent
    text.one("process_resident_memory_bytes", "gauge", "Resident memory of the agent.", own.resident_bytes)
    text.one("process_cpu_seconds_total", "counter", "Processor time of the agent.", own.cpu_seconds_total)
    text.one("process_start_time_seconds", "gauge", "When the agent started.", own.started_at_seconds)
    text.one("fleet_agent_tick_delay_seconds", "gauge", "How late the last fast tick was.", own.late_seconds)
    text.one(
        "fleet_agent_tick_delay_max_seconds",
        "gauge",
        "How late a fast tick was at most, since the agent started.",
        own.most_late_seconds,
    )


def _history(text: Exposition, history: HistoryReading) -> None:
    rows = [((("resolution", "sample"),), history.samples), ((("resolution", "minute"),), history.minutes)]
    text.family("fleet_history_rows", "gauge", "Rows of the agent's history.", rows)
    text.one("fleet_history_size_bytes", "gauge", "Size of the history's file.", history.file_bytes)
    text.one("fleet_history_paused", "gauge", "Whether nothing can be written to it.", int(bool(history.paused)))
    text.one("fleet_history_resets_total", "counter", "Files that were broken and put aside.", history.resets_total)
    text.one("fleet_history_lost_total", "counter", "Samples that were never written.", history.lost_total)


def _exit_code(last_exit: str | None) -> int | None:
    match = _EXIT_CODE.fullmatch(last_exit or "")
    return int(match[1]) if match else None
