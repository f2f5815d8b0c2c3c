"""Does what care decides: asks the gateway, ends processes, remembers. It looks at every fast tick and never waits."""

from __future__ import annotations

import os
import signal
from binascii import crc32
from collections.abc import Callable, Sequence

import msgspec

from fleet.node.agent.care import decide
from fleet.node.agent.carefile import CareFile
from fleet.node.agent.caresigns import Action, Do, Process, Signs, is_same
from fleet.node.agent.carestate import CareState, Phase, reading_of
from fleet.node.agent.edge import EdgeDoor
from fleet.node.agent.processes import ProcessSource
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.agent import AgentSidecar
from fleet.vocabulary.contracts.gateway_admin import AGENT
from fleet.vocabulary.contracts.snapshot import ServiceReading, SidecarReading, Snapshot
from fleet.vocabulary.names import Intent

NOTE_SECONDS = 60.0
"""How old what is on disk may be, while nothing but the clock moved."""


class Carer:
    """The care for all sidecars of a node. `doubt` is told of one whose process is another now."""

    def __init__(
        self,
        clock: Clock,
        sidecars: Sequence[AgentSidecar],
        *,
        node: str,
        door: EdgeDoor,
        file: CareFile,
        processes: ProcessSource,
        doubt: Callable[[str], None],
        log: Callable[[str], None],
        kill: Callable[[int, int], None] = os.kill,
    ) -> None:
        self._clock, self._door, self._file, self._processes = clock, door, file, processes
        self._sidecars = {sidecar.name: sidecar for sidecar in sidecars}
        self._jitter = {name: crc32(f"{node}/{name}".encode()) % 1000 / 1000 for name in self._sidecars}
        self._doubt, self._log, self._kill = doubt, log, kill
        saved = file.load() if sidecars else {}
        self._states = {name: saved.get(name) or CareState() for name in self._sidecars}
        self._noted_at = clock.monotonic()
        self._unwritten: str | None = None
        self._unended: str | None = None

    @property
    def problem(self) -> str | None:
        """Why something that was decided cannot be done or remembered."""
        return self._unended or self._unwritten

    def on(self, reading: SidecarReading) -> SidecarReading:
        """The reading with what is done for it."""
        return msgspec.structs.replace(
            reading,
            footprint_limit_bytes=self._sidecars[reading.name].footprint_limit_bytes,
            care=reading_of(self._states[reading.name]),
        )

    def rests(self, name: str) -> bool:
        """Whether nobody may make it work: a model that made the kernel panic is not even probed."""
        return self._states[name].phase is Phase.QUARANTINED

    def look(self, snapshot: Snapshot) -> None:
        """Decide for each sidecar of the snapshot, and do it. What is decided is on disk before it is done."""
        now = self._clock.now().timestamp()
        actions: list[tuple[str, Action]] = []
        moved = False
        for reading in snapshot.sidecars:
            name = reading.name
            sidecar, before = self._sidecars[name], self._states[name]
            signs = self._signs(reading, snapshot)
            after, action = decide(before, signs, sidecar.care, now=now, limit_bytes=sidecar.footprint_limit_bytes)
            self._states[name] = after
            moved = moved or _story(after) != _story(before)
            if after.phase is not before.phase or after.reason != before.reason:
                self._log(f"{name}: {reading_of(after).state}{f', {after.reason}' if after.reason else ''}")
            if before.seen is not None and not is_same(after.seen, before.seen):
                self._doubt(name)
            if action is not None:
                actions.append((name, action))
        if moved:
            self._save()
        if not any(action.process for _, action in actions):
            self._unended = None
        for name, action in actions:
            self._do(name, action)

    def _signs(self, reading: SidecarReading, snapshot: Snapshot) -> Signs:
        service = service_of(reading.name, snapshot.services)
        said = self._door.pace(reading.port)
        held = None if said is None else self._door.intent(said.name)
        tried = (reading.probed_at_seconds, reading.served_at_seconds)
        return Signs(
            pid=service.pid if service and service.up else None,
            started_at_seconds=service.started_at_seconds if service else None,
            live=reading.live,
            ready=reading.ready,
            ready_at_seconds=max((at for at in tried if at is not None), default=None),
            problem=reading.problem or "",
            footprint_bytes=service.footprint_bytes if service else None,
            refusing_seconds=said.refusing_seconds if said else None,
            in_flight=reading.in_flight,
            waiting=said.waiting if said else 0,
            served_at_seconds=reading.served_at_seconds,
            gateway=self._door.there,
            intent=held.intent if held else None,
            by=held.by if held else "",
            boot_seconds=snapshot.boot_time_seconds,
            panic_at_seconds=snapshot.panics.newest_at_seconds,
            jitter_ratio=self._jitter[reading.name],
        )

    def note(self) -> None:
        """Slow tier: keep what nobody had to hurry for, such as when each of them worked last."""
        now = self._clock.monotonic()
        if self._states and now - self._noted_at >= NOTE_SECONDS:
            self._save()

    def _save(self) -> None:
        self._noted_at = self._clock.monotonic()
        try:
            self._file.save(self._states)
            self._unwritten = None
        except OSError as error:
            self._unwritten = f"what care remembers cannot be written: {error.strerror or error}"

    def _do(self, name: str, action: Action) -> None:
        if action.do in (Do.END, Do.KILL):
            if action.process is not None:
                self._end(name, action.process, force=action.do is Do.KILL)
            return
        said = self._door.pace(self._sidecars[name].port)
        if said is not None:
            wanted = Intent.SERVING if action.do is Do.FREE else Intent.DRAINING
            self._door.want(said.name, wanted, by=action.by or f"{AGENT} it is well")

    def _end(self, name: str, process: Process, *, force: bool) -> None:
        """Ask it to end; launchd starts it again. A process that came to the same pid meanwhile is left alone."""
        pid, problem = process[0], None
        try:
            found = self._processes.read(pid)
            if pid > 1 and found is not None and is_same((pid, found.started_at_seconds), process):
                self._kill(pid, signal.SIGKILL if force else signal.SIGTERM)
        except ProcessLookupError:
            pass
        except OSError as error:
            problem = f"{name}: process {pid} cannot be ended: {error.strerror or error}"
            if problem != self._unended:
                self._log(problem)
        self._unended = problem


def service_of(name: str, services: Sequence[ServiceReading]) -> ServiceReading | None:
    """The service of the sidecar."""
    names = (name, f"sidecar.{name}")
    return next((service for service in services if service.name in names), None)


def _story(state: CareState) -> tuple[object, ...]:
    """What must be on disk at once; the rest may be a minute old."""
    return (
        state.phase, state.reason, state.ended, state.restarts_total, state.strikes, state.suspect_boot_seconds,
        state.held, state.refresh_from_seconds,
    )  # fmt: skip
