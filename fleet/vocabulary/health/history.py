"""What a new sample adds to the history of its node: restarts of services, and of the machine. Pure."""

from __future__ import annotations

from fleet.vocabulary.contracts.snapshot import ServiceReading
from fleet.vocabulary.health.readings import ASKED_FOR
from fleet.vocabulary.health.sample import Sample
from fleet.vocabulary.health.state import History
from fleet.vocabulary.health.table import RESTART_SHOWN_SECONDS

_MOST_RESTARTS = 20
_COULD_NOT_START = "78: "
"""How `last_exit` begins when launchd could not even start it: it is down, and did not crash."""
_CLOCK_STEP_SECONDS = 60.0
"""A corrected clock moves the boot time, too: by less than this."""


def with_sample(history: History, sample: Sample) -> History:
    """The history that this sample is part of. A sample that was taken before the last one changes nothing."""
    last, at, snapshot = history.sample_at_seconds, sample.at_seconds, sample.snapshot
    if last is not None and last - RESTART_SHOWN_SECONDS < at < last:
        return history
    boot = snapshot.boot_time_seconds
    rebooted = _rebooted(history, boot)
    runs = {service.name: service.runs for service in snapshot.services if service.runs is not None}
    restarts: dict[str, tuple[float, ...]] = {}
    missed: dict[str, tuple[float, int]] = {}
    for service in snapshot.services:
        kept = tuple(
            moment for moment in history.restarts.get(service.name, ()) if 0 <= at - moment < RESTART_SHOWN_SECONDS
        )
        fresh = () if rebooted or last is None else _rises(history, service, at)
        told = history.missed.get(service.name)
        if fresh and last is not None and at - last > RESTART_SHOWN_SECONDS:  # nobody knows how near to each other
            missed[service.name] = (at, len(fresh))
            fresh = ()
        elif told is not None and 0 <= at - told[0] < RESTART_SHOWN_SECONDS:
            missed[service.name] = told
        if kept or fresh:
            restarts[service.name] = (*kept, *fresh)[-_MOST_RESTARTS:]
    return History(
        sample_at_seconds=at,
        clock_seconds=snapshot.at_seconds,
        boot_time_seconds=boot if boot is not None else history.boot_time_seconds,
        reboot_seen_at_seconds=at if rebooted else history.reboot_seen_at_seconds,
        runs={**{name: kept for name, kept in history.runs.items() if _is_unread(name, sample)}, **runs},
        restarts=restarts,
        missed=missed,
    )


def _rises(history: History, service: ServiceReading, at: float) -> tuple[float, ...]:
    """Starts since the sample before. Fewer than before: it was registered anew."""
    before = history.runs.get(service.name)
    if before is None or service.runs is None or service.runs <= before or service.last_exit in ASKED_FOR:
        return ()
    if (service.last_exit or "").startswith(_COULD_NOT_START):
        return ()
    return (at,) * min(service.runs - before, _MOST_RESTARTS)


def _rebooted(history: History, boot: float | None) -> bool:
    """Whether the machine was booted after the sample before, by its own clock."""
    before, clock = history.boot_time_seconds, history.clock_seconds
    if boot is None or before is None or clock is None or boot - before <= _CLOCK_STEP_SECONDS:
        return False
    return boot > clock - _CLOCK_STEP_SECONDS


def _is_unread(name: str, sample: Sample) -> bool:
    return any(service.name == name and service.runs is None for service in sample.snapshot.services)
