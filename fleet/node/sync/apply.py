"""The apply job: one run from its first change to its last proof, or back.

A run is begun when `begin` is in its journal, and won when `switch` is: then every gate has passed. An interrupted
run is finished after that point and reverted before it, so a node ends old or new, never as a mix.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from fleet.node.sync import releases
from fleet.node.sync.audit import record_run
from fleet.node.sync.baseline import capture, load_baseline, save_baseline
from fleet.node.sync.drain import Drains
from fleet.node.sync.facts import boot_id
from fleet.node.sync.gates import Gates, spawned
from fleet.node.sync.gatewaydoor import Door, LoopbackDoor
from fleet.node.sync.journal import Journal
from fleet.node.sync.leases import Leases, Stolen
from fleet.node.sync.live import keep_live_record
from fleet.node.sync.machine import Machine
from fleet.node.sync.observe import observe
from fleet.node.sync.pending import confirmation, finished, lock, pending_run, read_request
from fleet.node.sync.perform import Performer
from fleet.node.sync.problem import GateFailed, Problem
from fleet.node.sync.prune import prune
from fleet.node.sync.receipt import remove_receipt, write_receipt
from fleet.node.sync.steps import steps
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.desired import Command, Daemon, DesiredState, File, Item, Keep
from fleet.vocabulary.contracts.sync import Event, RunRequest, Step

COMMITTED, REVERTED, FAILED = "committed", "reverted", "failed"
_SPAWNS = frozenset({"bootstrap", "rebootstrap", "restart", "cure"})
_REVERT_GATES_SECONDS = 120.0
_POLL_SECONDS = 0.25


def apply(machine: Machine, *, door: Door | None = None, told: Callable[[Event], None] = lambda _: None) -> str | None:
    """Do the pending run, or finish or revert the one that was interrupted. Its outcome; None when there is none.

    `door` is the admin door of the node's gateway; `told` hears of every new line of the journal.
    """
    run_id = pending_run(machine)
    if run_id is None:
        return None
    with lock(machine, run_id, wait=True):
        if pending_run(machine) != run_id:
            return None
        return _apply(machine, run_id, door or LoopbackDoor(), told)


def _apply(machine: Machine, run_id: str, door: Door, told: Callable[[Event], None]) -> str:
    machine.disk.directory(machine.layout.run(run_id))
    journal = Journal(machine, run_id, told=told)
    ended = [event for event in journal.events if event.phase == "end"]
    if ended:
        finished(machine)
        return ended[-1].outcome or FAILED
    request = read_request(machine, run_id)
    desired = releases.load(machine, request.state_id) if request else None
    if request is None or desired is None:
        return _end(machine, journal, FAILED, "the request or the release of the run cannot be read", request=request)
    if request.restart:
        from fleet.node.sync.restart import Restarting

        run_ended = Restarting(machine=machine, journal=journal, request=request, state=desired, door=door).run()
        outcome = FAILED if run_ended.why else COMMITTED
        return _end(machine, journal, outcome, run_ended.why, run_ended.detail, request=request)
    run = _Run(machine=machine, journal=journal, request=request, desired=desired, door=door)
    try:
        if journal.has("step", "start", "switch") and not journal.has("revert", "start"):
            return run.finish()
        if run.is_confirmed():
            return run.finish()
        if journal.has("begin"):
            journal.add("revert", "note", text=run.interrupted())
            return run.revert("the run was interrupted")
        return run.forward()
    except Exception as error:
        if journal.has("end"):
            raise  # only `pending` could not be removed: the next process does it
        return run.give_up(f"fleet's own mistake: {error}", _trace())


def _end(
    machine: Machine, journal: Journal, outcome: str, text: str, detail: str = "", *, request: RunRequest | None
) -> str:
    """The run is over: told to the audit, to its journal, and to whoever waits for the node, in this order."""
    if request is not None:
        try:
            record_run(machine, request, outcome=outcome, after=releases.current_id(machine), text=text)
        except Exception as error:  # noqa: BLE001 (a full disk may not keep the node busy for ever)
            with contextlib.suppress(OSError):
                journal.add("step", "note", key="audit", text=f"the audit could not be written: {error}")
    journal.add("end", "ok" if outcome == COMMITTED else "failed", text=text, detail=detail, outcome=outcome)
    finished(machine)
    if request is not None and request.fence is not None:
        with contextlib.suppress(OSError):  # a lease that nothing pends for is void by itself
            Leases(machine=machine).end(request.fence)
    return outcome


@dataclass(frozen=True, kw_only=True)
class _Run:
    machine: Machine
    journal: Journal
    request: RunRequest
    desired: DesiredState
    door: Door = field(default_factory=LoopbackDoor)

    def forward(self) -> str:
        """From the previous release to the desired one."""
        machine, journal = self.machine, self.journal
        previous = releases.load(machine, self.request.previous)
        try:
            self._require_lease()
            observed = observe(machine, self.desired, previous)
            save_baseline(machine, self.request.run_id, capture(machine, self.desired, previous, observed))
            todo = steps(self.desired, observed, previous)
            journal.add("begin", "ok", text=f"{len(todo)} steps", detail=f"boot {self.request.boot_id or 'unknown'}")
        except (Problem, OSError) as error:
            return self._stop(error)
        performer = self._performer(self.desired, previous)
        try:
            self._drains(self._require_lease).empty(todo, running=previous, wanted=self.desired)
            remove_receipt(machine)
            for step in todo:
                self._require_lease()
                self._step(performer, step)
            labels = spawned(step.key for step in todo if step.action in _SPAWNS)
            self._gates(self.desired, list(labels), self.request.healthy_deadline_seconds)
            self._confirmation()
            self._require_lease()
        except Stolen as stolen:
            return self.revert(stolen.title, stolen.text, blame=False)
        except Problem as problem:
            if isinstance(problem, GateFailed):
                journal.add("gate", "failed", key=problem.key, text=problem.title, detail=problem.text)
            return self.revert(problem.title, problem.text)
        except Exception as error:  # noqa: BLE001 (live things have changed: go back, whatever it was)
            return self.revert(f"fleet's own mistake: {error}", _trace())
        return self.finish()

    def finish(self) -> str:
        """Every gate has passed: make the release the live one, or go back when that fails. May be done twice."""
        machine, journal, state_id = self.machine, self.journal, self.desired.state_id
        try:
            journal.add("step", "start", key="switch", text=f"current -> {state_id[:12]}")
            releases.switch(machine, state_id)
        except Exception as error:  # noqa: BLE001 (the new daemons run: they may not stay under the old release)
            if releases.current_id(machine) != state_id:
                return self.revert(f"the release could not be made the live one: {error}", _trace())
        self._chore("bad mark", lambda: releases.unmark_bad(machine, state_id))
        self._chore("live record", lambda: keep_live_record(machine, self.request))
        self._chore("journal", lambda: journal.add("step", "ok", key="switch"))
        self._chore("housekeeping", self._prune)
        self._chore("receipt", lambda: write_receipt(machine, self.desired))
        return self._end(COMMITTED, "")

    def is_confirmed(self) -> bool:
        """Whether the run had passed its gates and was confirmed before it was cut off."""
        waits = self.journal.has("confirm", "start") and not self.journal.has("revert", "start")
        return waits and self.machine.disk.stat(confirmation(self.machine, self.request.run_id)).exists

    def _confirmation(self) -> None:
        """Wait until a new connection confirms the run, where that was asked for. Raises Problem.

        The time counts sleep: a Mac that slept over it goes back when it wakes.
        """
        seconds, host = self.request.confirm_seconds, self.machine.host
        if not seconds:
            return
        until = host.uptime_seconds() + seconds
        self.journal.add(
            "confirm", "start", key="confirmation", text=f"waits {seconds:g} s for a new connection to confirm it"
        )
        while not self.is_confirmed():
            if host.uptime_seconds() >= until:
                title = f"nobody confirmed the run within {seconds:g} s"
                hint = (
                    "the laptop must reach the node by a new connection: look at what this deploy does to the network"
                )
                raise Problem(title, code="unconfirmed", hint=hint)
            self._require_lease()
            self.machine.clock.sleep(_POLL_SECONDS)
        self.journal.add("confirm", "ok", key="confirmation", text="confirmed over a new connection")

    def _require_lease(self) -> None:
        """Raise Stolen when somebody has taken the node over from this run."""
        if self.request.fence is not None:
            Leases(machine=self.machine).require(self.request.fence)

    def _prune(self) -> None:
        """Remove what no kept release needs; what cannot be removed is told, and tried again by the next run."""
        done = prune(self.machine, self.desired.keep or Keep())
        if done.problems:
            self.journal.add("step", "note", key="housekeeping", text="; ".join(done.problems)[:2000])

    def give_up(self, why: str, detail: str) -> str:
        """Something went wrong that should not: end old or new all the same, or the node were busy for ever."""
        machine, journal = self.machine, self.journal
        switched = journal.has("step", "start", "switch") and not journal.has("revert", "start")
        if switched and releases.current_id(machine) == self.desired.state_id:
            return self._end(COMMITTED, why)
        try:
            if journal.has("begin"):
                return self.revert(why, detail)
        except Exception:
            if journal.has("end"):
                raise
            detail = _trace()
        return self._end(FAILED, why, detail)

    def revert(self, why: str, detail: str = "", *, blame: bool = True) -> str:
        """Back to the baseline, as far as it goes: a step that fails does not stop the others.

        `blame`: the release is marked as bad.
        """
        machine, journal = self.machine, self.journal
        journal.add("revert", "start", text=why, detail=detail)
        self._chore("receipt", lambda: remove_receipt(machine))
        if blame:
            words = f"{why}\n{detail}".strip()
            self._chore("bad mark", lambda: releases.mark_bad(machine, self.desired.state_id, words))
        previous = releases.load(machine, self.request.previous)
        baseline = load_baseline(machine, self.request.run_id)
        if baseline is None:
            text = f"{why}; what to go back to cannot be read"
            return self._end(FAILED, text)
        failures: list[str] = []
        touched = _touched(journal.events)
        performer = self._performer(baseline, self.desired)
        self._undo(performer, touched, failures)
        self._chore("sweep", lambda: self._sweep(baseline))
        done = self._back(performer, baseline, touched, failures)
        labels = spawned(step.key for step in done if step.action in _SPAWNS)
        try:
            proven = baseline if done else replace(baseline, gates=())
            self._gates(proven, list(labels), _REVERT_GATES_SECONDS, phase="revert")
        except Problem as problem:
            failures.append(problem.title)
            journal.add("revert", "failed", text=problem.title, detail=problem.text)
        if failures:
            text = f"{why}; going back failed too: {'; '.join(failures)}"
            return self._end(FAILED, text, detail)
        if previous is not None and releases.current_id(machine) == self.request.previous:
            self._chore("receipt", lambda: write_receipt(machine, previous))
        return self._end(REVERTED, why, detail)

    def _end(self, outcome: str, text: str, detail: str = "") -> str:
        """The end of every run that may have drained something: it gets new work again, then the run is over."""
        states = (self.desired, releases.load(self.machine, self.request.previous))
        self._chore("resume", lambda: self._drains(lambda: None).resume(*states))
        return _end(self.machine, self.journal, outcome, text, detail, request=self.request)

    def _drains(self, mind: Callable[[], None]) -> Drains:
        run_id = self.request.run_id
        return Drains(machine=self.machine, journal=self.journal, run_id=run_id, mind=mind, door=self.door)

    def interrupted(self) -> str:
        """What may have stopped the run in its middle."""
        now = boot_id(self.machine)
        if self.request.boot_id and now and now != self.request.boot_id:
            return "the machine was restarted in the middle of the run"
        return "the apply job was killed in the middle of the run"

    def _stop(self, error: Problem | OSError) -> str:
        """Nothing live has changed yet, so there is nothing to go back to."""
        detail = error.text if isinstance(error, Problem) else ""
        return self._end(REVERTED, str(error), detail)

    def _back(
        self, performer: Performer, baseline: DesiredState, touched: dict[str, str], failures: list[str]
    ) -> tuple[Step, ...]:
        try:
            observed = observe(self.machine, baseline, self.desired, touched=touched)
        except (Problem, OSError) as error:
            failures.append(str(error))
            return ()
        todo = steps(baseline, observed, self.desired)
        self._drains(lambda: None).empty(todo, running=self.desired, wanted=baseline)
        for step in todo:
            try:
                self._step(performer, step, phase="revert")
            except Problem as problem:
                failures.append(problem.title)
        return todo

    def _sweep(self, baseline: DesiredState) -> None:
        """Remove the half-written neighbours of files, left by a process that was killed."""
        for item in (*self.desired.items, *baseline.items):
            if isinstance(item, File | Daemon):
                path = item.path if isinstance(item, File) else self.machine.layout.plist(item.label)
                self.machine.disk.remove(f"{path}.new")

    def _undo(self, performer: Performer, touched: dict[str, str], failures: list[str]) -> None:
        """Undo the commands that the run began, last first."""
        items = {item.key: item for item in self.desired.items}
        for key in reversed(touched):
            item = items.get(key)
            if not isinstance(item, Command) or self.journal.has("revert", "ok", f"undo:{key}"):
                continue
            if not item.undo:
                self.journal.add("revert", "note", key=key, text="this command has no undo: it is not reverted")
                continue
            self.journal.add("revert", "start", key=f"undo:{key}", text="undo")
            try:
                performer.undo(item)
                self.journal.add("revert", "ok", key=f"undo:{key}")
            except Problem as problem:
                failures.append(problem.title)
                self.journal.add("revert", "failed", key=f"undo:{key}", text=problem.title, detail=problem.text)

    def _step(self, performer: Performer, step: Step, phase: str = "step") -> None:
        words = f"{step.action} · {step.reason}" if step.reason else step.action
        self.journal.add(phase, "start", key=step.key, text=words)
        try:
            performer.perform(step)
        except Problem as problem:
            self.journal.add(phase, "failed", key=step.key, text=problem.title, detail=problem.text)
            raise
        self.journal.add(phase, "ok", key=step.key, text=step.action)

    def _gates(self, state: DesiredState, started: list[str], within_seconds: float, phase: str = "gate") -> None:
        def passed(key: str, text: str) -> None:
            self.journal.add(phase, "ok", key=key, text=text)

        machine = self.machine
        if phase == "gate":
            machine = replace(machine, clock=_Minding(clock=machine.clock, mind=self._require_lease))
        Gates(machine=machine, state=state, notify=passed).require(started=started, within_seconds=within_seconds)

    def _chore(self, what: str, do: Callable[[], object]) -> None:
        """Something whose failure does not change what the node serves."""
        try:
            do()
        except Exception as error:  # noqa: BLE001 (whatever it was)
            with contextlib.suppress(OSError):
                self.journal.add("step", "note", key=what, text=f"{what}: {error}")

    def _performer(self, wanted: DesiredState, before: DesiredState | None) -> Performer:
        return Performer(machine=self.machine, wanted=_by_key(wanted), before=_by_key(before) if before else {})


@dataclass(frozen=True, kw_only=True)
class _Minding:
    """A Clock that minds something whenever it was slept by: a gate may wait for minutes."""

    clock: Clock
    mind: Callable[[], None]

    def now(self) -> datetime:
        """The wall clock."""
        return self.clock.now()

    def monotonic(self) -> float:
        """Seconds that never step back."""
        return self.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, then mind."""
        self.clock.sleep(seconds)
        self.mind()


def _trace() -> str:
    """Of the exception that is handled now."""
    import traceback

    return traceback.format_exc()


def _by_key(state: DesiredState) -> dict[str, Item]:
    return {item.key: item for item in state.items}


def _touched(events: list[Event]) -> dict[str, str]:
    """The action of every step that the run began forwards, by key, in order; the gravest where there are two."""
    touched: dict[str, str] = {}
    for event in events:
        if event.phase == "step" and event.status == "start" and event.key != "switch":
            action = event.text.split(" ", 1)[0]
            if touched.get(event.key) not in ("bootout", "rebootstrap"):
                touched[event.key] = action
    return touched
