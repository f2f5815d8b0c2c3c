"""What each check reads of a sample. Pure. Every reading may be unknown; unknown is never a value."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from fleet.vocabulary.contracts.snapshot import CollectorReading, Disk, Memory, ServiceReading, SidecarReading
from fleet.vocabulary.health.check import Reading
from fleet.vocabulary.health.sample import Sample
from fleet.vocabulary.health.state import History
from fleet.vocabulary.health.table import (
    RESTART_SHOWN_SECONDS,
    SMALL_DISK_BYTES,
    WARM_UP_SECONDS,
)
from fleet.vocabulary.macos.notifyutil import THERMAL_WORDS
from fleet.vocabulary.panicking import is_of_boot
from fleet.vocabulary.units import bytes_text, seconds_text
from fleet.vocabulary.wired import headroom_bytes, is_lost

Named = tuple[str, str, Reading]
"""A check, its subject, what was read."""

ASKED_FOR = frozenset({None, "(never exited)", "Terminated: 15", "143"})
_IN_GOOD_ORDER = ASKED_FOR | {"0"}
_PLANNED_CHECKS = frozenset({"service_down", "service_pended", "sidecar_dead", "sidecar_not_ready"})
"""What says that a service is not there. One that crashes again and again is told all the same."""
READ = Reading(value=0.0)
"""Of every collector that works, at nearly every look: whoever keeps books need not keep one of it."""


def readings_of(sample: Sample, history: History) -> Iterator[Named]:
    """Everything the checks read of this sample. `history` is that which the sample itself is part of.

    That a service is down which a deploy is stopping and starting is no reading: it counts when the deploy is over.
    """
    planned = frozenset(sample.snapshot.planned)
    for check, subject, reading in _all_of(sample, history):
        if subject in planned and check in _PLANNED_CHECKS:
            reading = Reading(value=None, text=f"{subject}: a deploy stops and starts it")
        yield check, subject, reading


def _all_of(sample: Sample, history: History) -> Iterator[Named]:
    for service in sample.snapshot.services:
        yield from _service(service, sample, history)
    services = {service.name: service for service in sample.snapshot.services}
    for car in sample.snapshot.sidecars:
        yield from _sidecar(car, services.get(service_of(car)), sample.snapshot.at_seconds)
    yield from _machine(sample, history)
    for disk in sample.snapshot.disks:
        yield "disk_free", disk.mount, _disk(disk)
    for collector in sample.snapshot.collectors:
        yield "collector", collector.name, READ if collector.ok else _unread(collector)


def _unread(collector: CollectorReading) -> Reading:
    text = f"the agent cannot read {collector.name}: {collector.problem or 'no reason given'}"
    return Reading(value=1.0, text=text)


def service_of(car: SidecarReading) -> str:
    """The name of a sidecar's service."""
    return car.name if car.name.startswith("sidecar.") else f"sidecar.{car.name}"


def _service(service: ServiceReading, sample: Sample, history: History) -> Iterator[Named]:
    name, up = service.name, service.up
    pended = service.pended is not None and up is not True
    text = f"{name}: launchd puts off its start ({service.pended})"
    yield "service_pended", name, Reading(value=float(pended), text=text)
    restarts = history.restarts.get(name, ())
    ended = f"last exit {service.last_exit}"
    text = f"{name} crashes again and again: {len(restarts)} times in 10 minutes, {ended}"
    yield "crash_loop", name, Reading(value=float(len(restarts)), text=text)
    if up is None:
        yield "service_down", name, Reading(value=None, text=f"{name}: launchd's answer could not be read")
        return
    yield "service_down", name, Reading(value=float(not up), text=f"{name} is down: {_why_down(service)}")
    text = f"{name} ended and was started again: {ended}, {service.runs} runs"
    back, since, missed = up and came_back(service, sample.snapshot.at_seconds), None, history.missed.get(name)
    if up and missed is not None:
        often = "once" if missed[1] == 1 else f"{missed[1]} times"
        text = f"{name} ended while nobody looked and was started again, {often}: {ended}"
        back, since = True, service.started_at_seconds
    yield "service_restarted", name, Reading(value=float(back), text=text, since_seconds=since)


def came_back(service: ServiceReading, clock_seconds: float) -> bool:
    """Whether launchd started it again lately after an end that nobody asked for."""
    if service.started_at_seconds is None or (service.runs or 0) < 2 or service.last_exit in _IN_GOOD_ORDER:
        return False
    return clock_seconds - service.started_at_seconds < RESTART_SHOWN_SECONDS


def _why_down(service: ServiceReading) -> str:
    parts = [service.state or "state unknown"]
    if service.last_exit not in (None, "0", "(never exited)"):
        parts.append(f"last exit {service.last_exit}")
    if service.runs is not None and service.runs > 1:
        parts.append(f"{service.runs} runs")
    return ", ".join(parts)


def _sidecar(car: SidecarReading, service: ServiceReading | None, clock_seconds: float) -> Iterator[Named]:
    name, why = service_of(car), f": {car.problem}" if car.problem else ""
    dead = None if car.live is None else float(not car.live)
    yield (
        "sidecar_dead",
        name,
        Reading(value=dead, text=f"{car.model} does not answer{why}" if car.live is False else ""),
    )
    started = service.started_at_seconds if service else None
    warming = started is not None and clock_seconds - started < WARM_UP_SECONDS
    if car.ready is None or (car.ready is False and warming):
        ready = Reading(value=None, text=f"{car.model} is not proved ready yet{why}")
    else:
        ready = Reading(value=float(not car.ready), text=f"{car.model} answers, but generates nothing{why}")
    yield "sidecar_not_ready", name, ready
    pace, usual = car.decode_tokens_per_second, car.baseline_tokens_per_second
    if pace is not None and usual:
        text = f"{car.model} gives {pace:.1f} tokens/s, on this node usually {usual:.1f}"
        yield "slow_decode", name, Reading(value=pace / usual, text=text)
    else:
        yield "slow_decode", name, Reading(value=None)
    wrong = None if car.golden_ok is None else float(not car.golden_ok)
    yield "golden_wrong", name, Reading(value=wrong, text=f"{car.model} answers the known long prompt wrongly")
    yield "sidecar_cared", name, _care(car)


def _care(car: SidecarReading) -> Reading:
    """0 nothing to tell (a planned refresh too), 1 its agent restarts it or has given up, 2 quarantined."""
    care = car.care
    if care is None:
        return Reading(value=None)
    why = f": {care.reason}" if care.reason else ""
    since = care.since_seconds
    if care.state == "quarantined":
        return Reading(value=2, text=f"{car.model} is taken out of service{why}", since_seconds=since)
    if care.state in ("draining", "restarting"):
        return Reading(value=1, text=f"{car.model} is being restarted by its agent{why}", since_seconds=since)
    if care.state == "watching" and care.reason:
        return Reading(value=1, text=f"{car.model}: {care.reason}", since_seconds=since)
    return Reading(value=0)


def _wired_limit(memory: Memory) -> Reading:
    lost, limit = is_lost(memory), memory.wired_limit_bytes
    now = "the system's own" if limit is None else bytes_text(limit)
    text = f"the GPU wired limit is {now}, not {bytes_text(memory.wired_limit_expected_bytes)}"
    return _known(None if lost is None else float(lost), text)


def _machine(sample: Sample, history: History) -> Iterator[Named]:
    snapshot = sample.snapshot
    level = snapshot.memory.pressure_level
    word = {2: "high", 4: "critical"}.get(level or 0, str(level))
    yield "memory_pressure", "", _known(level, f"memory pressure is {word}")
    room = headroom_bytes(snapshot.memory)
    yield "wired_headroom", "", _known(room, f"only {bytes_text(max(0, room or 0))} left under the GPU wired limit")
    yield "wired_limit_lost", "", _wired_limit(snapshot.memory)
    rate = snapshot.swap.swapout_bytes_per_second
    yield "swapping", "", _known(rate, f"swapping out {bytes_text(int(rate or 0))}/s")
    level = snapshot.thermal.pressure_level
    word = THERMAL_WORDS[min(max(level or 0, 0), len(THERMAL_WORDS) - 1)]
    yield "thermal", "", _known(level, f"thermal pressure is {word}: it throttles")
    skew = snapshot.at_seconds - sample.at_seconds
    text = f"its clock is {seconds_text(abs(skew))} {'ahead of' if skew > 0 else 'behind'} this one"
    yield "clock_skew", "", Reading(value=abs(skew), text=text)
    yield "rebooted", "", _reboot(sample, history)


def _known(value: float | None, text: str) -> Reading:
    return Reading(value=value, text="" if value is None else text)


def _reboot(sample: Sample, history: History) -> Reading:
    """0 no restart lately, 1 a restart, 2 a restart after a kernel panic."""
    snapshot, seen_at = sample.snapshot, history.reboot_seen_at_seconds
    boot, panic = snapshot.boot_time_seconds, snapshot.panics
    if boot is None:
        return Reading(value=None)
    lately = seen_at is not None and sample.at_seconds - seen_at < RESTART_SHOWN_SECONDS
    text = f"it restarted at {datetime.fromtimestamp(boot, UTC):%Y-%m-%d %H:%M:%S} UTC"
    panicked = is_of_boot(panic.newest_at_seconds, boot)
    if panicked:
        text += f" after a kernel panic ({panic.newest_name})"
    return Reading(value=float(lately) * (2 if panicked else 1), text=text, since_seconds=seen_at)


def _disk(disk: Disk) -> Reading:
    if disk.free_bytes is None or not disk.total_bytes:
        return Reading(value=None)
    text = f"only {bytes_text(disk.free_bytes)} of {bytes_text(disk.total_bytes)} left on {disk.mount}"
    return Reading(value=disk.free_bytes / max(disk.total_bytes, SMALL_DISK_BYTES), text=text)
