"""What is wrong with a node, by one snapshot. Pure. Hysteresis and time to visible belong to a step over these.

Used memory or swap alone is no concern: both are normal on a healthy Mac (macos/FACTS section 4.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fleet.control.watch.view import Concern
from fleet.vocabulary.contracts.snapshot import ServiceReading, SidecarReading, Snapshot
from fleet.vocabulary.macos.notifyutil import THERMAL_WORDS
from fleet.vocabulary.names import Health
from fleet.vocabulary.units import GIB, MIB, bytes_text

HEADROOM_WARN_BYTES = GIB
SWAPOUT_WARN_BYTES_PER_SECOND = 50 * MIB
THERMAL_WARN_LEVEL = 2
THERMAL_CRITICAL_LEVEL = 3
RESTART_SHOWN_SECONDS = 600.0
"""How long a service that launchd had to start again is spoken of: its down time is often shorter than a sample."""
_IN_GOOD_ORDER = frozenset({None, "0", "(never exited)", "Terminated: 15", "143"})
_RANK = {Health.OK: 0, Health.UNKNOWN: 1, Health.WARN: 2, Health.CRITICAL: 3}


def worst(healths: Iterable[Health]) -> Health:
    """The worst of them: unknown outranks ok, and ranks below warn."""
    return max(healths, key=_RANK.__getitem__, default=Health.OK)


def concerns_of(snapshot: Snapshot) -> tuple[Concern, ...]:
    """Everything that is wrong, the worst first."""
    found = [*_services(snapshot), *_sidecars(snapshot), *_machine(snapshot), *_readings(snapshot)]
    return tuple(sorted(found, key=lambda concern: -_RANK[concern.health]))


def _services(snapshot: Snapshot) -> Iterator[Concern]:
    for service in snapshot.services:
        advice = f"fleet logs {snapshot.node} {service.name}"
        if service.pended is not None and not service.up:
            text = f"{service.name}: launchd puts off its start ({service.pended})"
            yield Concern(code="service_pended", health=Health.CRITICAL, text=text, hint="fleet deploy starts it")
        elif service.up is False:
            text = f"{service.name} is down: {_why_down(service)}"
            yield Concern(code="service_down", health=Health.CRITICAL, text=text, hint=advice)
        elif service.up is None:
            text = f"{service.name}: launchd's answer could not be read"
            yield Concern(code="service_unknown", health=Health.UNKNOWN, text=text, hint=advice)
        elif _came_back(service, snapshot.at_seconds):
            text = f"{service.name} ended and was started again: last exit {service.last_exit}, {service.runs} runs"
            yield Concern(code="service_restarted", health=Health.WARN, text=text, hint=advice)


def _came_back(service: ServiceReading, at_seconds: float) -> bool:
    """Whether launchd started it again lately after an end that nobody asked for."""
    if service.started_at_seconds is None or (service.runs or 0) < 2 or service.last_exit in _IN_GOOD_ORDER:
        return False
    return at_seconds - service.started_at_seconds < RESTART_SHOWN_SECONDS


def _why_down(service: ServiceReading) -> str:
    ended = service.last_exit if service.last_exit not in (None, "0", "(never exited)") else None
    parts = [service.state or "state unknown"]
    if ended:
        parts.append(f"last exit {ended}")
    if service.runs is not None and service.runs > 1:
        parts.append(f"{service.runs} runs")
    return ", ".join(parts)


def _sidecars(snapshot: Snapshot) -> Iterator[Concern]:
    """What the probes say of sidecars whose service runs: a service that is down has said it already."""
    down = {service.name for service in snapshot.services if service.up is False}
    for car in snapshot.sidecars:
        if _service_of(car) in down:
            continue
        concern = _sidecar(snapshot.node, car)
        if concern:
            yield concern


def _sidecar(node: str, car: SidecarReading) -> Concern | None:
    advice = f"fleet logs {node} {_service_of(car)}"
    why = f": {car.problem}" if car.problem else ""
    if car.live is False:
        text = f"{car.model} does not answer{why}"
        return Concern(code="sidecar_dead", health=Health.CRITICAL, text=text, hint=advice)
    if car.ready is False:
        text = f"{car.model} answers, but generates nothing{why}"
        return Concern(code="sidecar_not_ready", health=Health.CRITICAL, text=text, hint=advice)
    if car.ready is None:
        text = f"{car.model} is not proved ready yet{why}"
        return Concern(code="sidecar_warming_up", health=Health.UNKNOWN, text=text)
    return None


def _service_of(car: SidecarReading) -> str:
    return car.name if car.name.startswith("sidecar.") else f"sidecar.{car.name}"


def _machine(snapshot: Snapshot) -> Iterator[Concern]:
    memory, swap, level = snapshot.memory, snapshot.swap, snapshot.thermal.pressure_level
    less = "give its model less context, or move one away"
    if memory.pressure_level == 4:
        yield Concern(code="memory_pressure", health=Health.CRITICAL, text="memory pressure is critical", hint=less)
    elif memory.pressure_level == 2:
        yield Concern(code="memory_pressure", health=Health.WARN, text="memory pressure is high", hint=less)
    headroom = memory.wired_headroom_bytes
    if headroom is not None and headroom < HEADROOM_WARN_BYTES:
        text = f"only {bytes_text(max(0, headroom))} left under the GPU wired limit"
        yield Concern(code="wired_headroom", health=Health.WARN, text=text, hint=less)
    rate = swap.swapout_bytes_per_second
    if rate is not None and rate > SWAPOUT_WARN_BYTES_PER_SECOND:
        yield Concern(code="swapping", health=Health.WARN, text=f"swapping out {bytes_text(int(rate))}/s", hint=less)
    if level is not None and level >= THERMAL_WARN_LEVEL:
        health = Health.CRITICAL if level >= THERMAL_CRITICAL_LEVEL else Health.WARN
        text = f"thermal pressure is {THERMAL_WORDS[min(level, len(THERMAL_WORDS) - 1)]}: it throttles"
        yield Concern(code="thermal", health=health, text=text, hint="look at its fans, room and load")


def _readings(snapshot: Snapshot) -> Iterator[Concern]:
    for collector in snapshot.collectors:
        if not collector.ok:
            text = f"the agent cannot read {collector.name}: {collector.problem or 'no reason given'}"
            yield Concern(code="collector", health=Health.WARN, text=text, hint=f"fleet logs {snapshot.node} agent")
