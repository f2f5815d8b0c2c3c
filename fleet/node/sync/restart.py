"""Restarting services of the live release because somebody asked: nothing else changes.

It is a run of the apply job, so it outlives the laptop, and one that is cut is ended by the next boot or contact: then
nothing more is stopped, what has no process is started, and what was drained gets new work again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fleet.node.sync.drain import Drains
from fleet.node.sync.gates import Gates
from fleet.node.sync.gatewaydoor import Door, LoopbackDoor
from fleet.node.sync.jobs import Jobs
from fleet.node.sync.journal import Journal
from fleet.node.sync.leases import Leases
from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import GateFailed, Problem
from fleet.vocabulary.contracts.desired import Daemon, DesiredState
from fleet.vocabulary.contracts.sync import RunRequest, Step

_SIDECAR = "sidecar."


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How it ended: well when `why` is empty."""

    why: str = ""
    detail: str = ""


def chosen(state: DesiredState, services: Sequence[str]) -> tuple[Daemon, ...]:
    """The daemons that these words mean, in the order of the release; without words every sidecar. Pure.

    `sidecar.chat` may be written `chat`. Raises Problem `no_service`.
    """
    daemons = [daemon for daemon in state.daemons if not daemon.on_demand]
    if not services:
        found = {daemon.label for daemon in daemons if daemon.service.startswith(_SIDECAR)}
        if not found:
            raise _no_service("no sidecar runs here", daemons)
    else:
        by_name = {daemon.service.removeprefix(_SIDECAR): daemon.label for daemon in daemons}
        by_name |= {daemon.service: daemon.label for daemon in daemons}
        for word in services:
            if word not in by_name:
                raise _no_service(f"there is no service {word!r} here", daemons)
        found = {by_name[word] for word in services}
    return tuple(daemon for daemon in daemons if daemon.label in found)


@dataclass(frozen=True, kw_only=True)
class Restarting:
    """One run that restarts the services which `request` names. `state` is the live release."""

    machine: Machine
    journal: Journal
    request: RunRequest
    state: DesiredState
    door: Door = field(default_factory=LoopbackDoor)

    def run(self) -> Ended:
        """Empty, restart, prove, give new work again; or end what an earlier process began. May be done twice."""
        try:
            ended = self._settle() if self.journal.has("begin") else self._forward()
        except Problem as problem:
            key = problem.key if isinstance(problem, GateFailed) else ""
            self._say("gate" if key else "step", "failed", key, problem.title, problem.text)
            ended = Ended(why=problem.title, detail=problem.text)
        except Exception as error:  # noqa: BLE001 (whatever it was: what is drained must not stay so)
            ended = Ended(why=f"fleet's own mistake: {error}")
        try:
            self._drains().resume(self.state)
        except Exception as error:  # noqa: BLE001 (the run ends all the same, and says so)
            self._say("resume", "note", "", f"the gateway could not be told to send new work again: {error}")
        return ended

    def _forward(self) -> Ended:
        self._mind()
        self.journal.add("begin", "ok", text=f"{len(self._daemons)} services", detail=f"boot {self.request.boot_id}")
        self._empty()
        for daemon in self._daemons:
            self._mind()
            self._restart(daemon)
        self._prove()
        return Ended()

    def _settle(self) -> Ended:
        """After a cut: what was restarted is proved, what was not is left as it is, and everything runs."""
        for daemon in self._daemons:
            Jobs(machine=self.machine).cure(daemon)
        self._prove()
        left = [daemon.label for daemon in self._daemons if not self.journal.has("step", "ok", daemon.key)]
        if not left:
            return Ended()
        return Ended(
            why=f"it was cut off before {', '.join(left)} was seen to be restarted",
            detail="everything runs and gets work\nhint: the same command again restarts it",
        )

    def _empty(self) -> None:
        """Raises Problem when something still runs after its time, unless that may be cut."""
        seconds = self.request.drain_seconds
        todo = [Step(key=one.key, kind_of=one.kind, action="restart", task=one.task) for one in self._daemons]
        patient = [
            replace(one, drain=replace(one.drain, seconds=seconds))
            for one in self._daemons
            if one.drain is not None and seconds is not None
        ]
        wanted = replace(self.state, items=(*self.state.items, *patient))  # of two with one key the later one counts
        running = self._drains().empty(todo, running=None, wanted=wanted)
        if running and not self.request.force:
            raise Problem(
                f"{running} request{' still runs' if running == 1 else 's still run'}: nothing was stopped",
                code="running",
                hint="--drain waits longer; fleet ps shows them; --force restarts all the same",
            )

    def _restart(self, daemon: Daemon) -> None:
        jobs = Jobs(machine=self.machine)
        before = jobs.launchd.print(daemon.label)
        if before is None:
            raise GateFailed(
                f"{daemon.label} is not registered with launchd",
                key=f"launchd:{daemon.label}",
                hint="a deploy puts it back",
            )
        self.journal.add("step", "start", key=daemon.key, text="restart")
        jobs.restart(daemon)
        now = jobs.launchd.print(daemon.label)
        if now is None or now.pid is None or now.pid == before.pid:
            raise GateFailed(f"{daemon.label} has no new process", key=f"launchd:{daemon.label}")
        was = f"it was {before.pid}" if before.pid is not None else "it had none"
        self.journal.add("step", "ok", key=daemon.key, text=f"restart · pid {now.pid}, {was}")

    def _prove(self) -> None:
        """Their own gates: what else the node runs was not touched."""
        labels = [daemon.label for daemon in self._daemons]
        own = replace(self.state, gates=tuple(gate for gate in self.state.gates if gate.label in labels))
        gates = Gates(machine=self.machine, state=own, notify=lambda key, text: self._say("gate", "ok", key, text))
        gates.require(started=labels, within_seconds=self.request.healthy_deadline_seconds)

    def _mind(self) -> None:
        if self.request.fence is not None:
            Leases(machine=self.machine).require(self.request.fence)

    def _drains(self) -> Drains:
        return Drains(
            machine=self.machine, journal=self.journal, run_id=self.request.run_id, mind=self._mind, door=self.door,
            cuts=self.request.force,
        )  # fmt: skip

    def _say(self, phase: str, status: str, key: str, text: str, detail: str = "") -> None:
        with contextlib.suppress(OSError):
            self.journal.add(phase, status, key=key, text=text, detail=detail)

    @property
    def _daemons(self) -> tuple[Daemon, ...]:
        return tuple(daemon for daemon in self.state.daemons if daemon.label in self.request.restart)


def _no_service(title: str, daemons: Sequence[Daemon]) -> Problem:
    known = ", ".join(daemon.service for daemon in daemons) or "none"
    return Problem(title, code="no_service", hint=f"services of this node: {known}")
