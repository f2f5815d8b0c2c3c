"""One conversation with a laptop: facts, the plan, blobs, staging, and the run handed to the apply job.

Until the apply job begins, nothing live changes; after that, a laptop that goes away changes nothing.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

import fleet
from fleet.node.sync import releases
from fleet.node.sync.blobs import Blobs
from fleet.node.sync.facts import boot_id, collect_facts
from fleet.node.sync.frames import Wire
from fleet.node.sync.launchd import service_state
from fleet.node.sync.machine import Machine
from fleet.node.sync.observe import observe
from fleet.node.sync.pending import hand_over, lock, pending_run
from fleet.node.sync.problem import Problem
from fleet.node.sync.prune import prune
from fleet.node.sync.receipt import write_receipt
from fleet.node.sync.safety import check_state
from fleet.node.sync.stage import Stage
from fleet.node.sync.steps import steps
from fleet.node.sync.tail import Tail, give_up, kick, services
from fleet.node.sync.texts import live_texts
from fleet.vocabulary.contracts.desired import DesiredState, Keep
from fleet.vocabulary.contracts.sync import (
    BlobPart,
    Bye,
    Collect,
    Commit,
    Desired,
    Done,
    Failed,
    Hello,
    Observed,
    RunRequest,
    Staged,
    Step,
)

_RECORD = Step(
    key="release",
    kind_of="release",
    action="update",
    task="",
    reason="only the record of the release changes (gates, names of tasks); no daemon is touched",
)
_SILENCE_SECONDS = 300.0


@dataclass(kw_only=True)
class Session:
    """Speaks with one laptop. `sync` is the digest of the zipapp that runs, when it is one of ROOT/sync."""

    machine: Machine
    wire: Wire
    state_id: str
    run_id: str
    sync: str | None = None
    _held: ExitStack = field(default_factory=ExitStack)
    _holding: bool = False

    def run(self) -> int:
        """The whole conversation; the exit status."""
        self.wire.greet()
        try:
            with self._held:
                self._hello()
                frame = self.wire.receive()
                if isinstance(frame, Desired):
                    self._plan(frame.state)
                elif isinstance(frame, Collect):
                    self._collect(dry_run=frame.dry_run)
                elif frame is not None and not isinstance(frame, Bye):
                    raise Problem(f"{frame.kind} comes too early", code="protocol")
        except Problem as problem:
            self.wire.send(Failed(code=problem.code, title=problem.title, detail=problem.detail, hint=problem.hint))
            return 1
        except EOFError:
            return 0
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            title = f"the node's disk refused: {error.strerror or error}"
            self.wire.send(Failed(code="disk", title=title, detail=str(error), hint="look for a full or broken disk"))
            return 1
        return 0

    def _hello(self) -> None:
        """Who the node is. A run that was left unfinished is woken: its apply job finishes or reverts it."""
        active = pending_run(self.machine)
        if active is not None:
            try:
                kick(self.machine)
            except Problem:
                pass  # the laptop may be here to mend exactly that; Hello names the run
        current = releases.current_id(self.machine)
        self.wire.send(
            Hello(
                state_id=current,
                release=current,
                sync=self.sync,
                fleet_version=fleet.__version__,
                time_seconds=self.machine.clock.now().timestamp(),
                active_run=active,
                facts=collect_facts(self.machine),
            )
        )

    def _collect(self, *, dry_run: bool) -> None:
        """Housekeeping alone, by the limits of the live release. Never beside a run."""
        self._hold()
        live = releases.load(self.machine, releases.current_id(self.machine))
        keep = (live.keep if live else None) or Keep()
        self.wire.send(prune(self.machine, keep, dry_run=dry_run, measure=True))

    def _plan(self, state: DesiredState) -> None:
        check_state(self.machine, state)
        if self.state_id not in ("-", state.state_id):
            raise Problem("the desired state is not the one that was announced", code="protocol")
        current = releases.current_id(self.machine)
        previous = releases.load(self.machine, current)
        observed = observe(self.machine, state, previous)
        todo = steps(state, observed, previous)
        if not todo and current != state.state_id:
            todo = (_RECORD,)
        blobs = Blobs(machine=self.machine, state=state)
        missing = blobs.missing()
        self.wire.send(
            Observed(
                steps=todo,
                texts=live_texts(self.machine, state, previous, observed=observed, todo=todo),
                missing=missing,
                services=tuple(
                    service_state(daemon.label, observed.daemons[daemon.label].printed) for daemon in state.daemons
                ),
                needed_bytes=blobs.needed_bytes(missing),
                free_bytes=self.machine.disk.free_bytes(self.machine.layout.root),
                bad=releases.why_bad(self.machine, state.state_id),
            )
        )
        idle = not todo and not missing
        self._converse(state, blobs, idle=idle, seen=current)

    def _converse(self, state: DesiredState, blobs: Blobs, *, idle: bool, seen: str | None) -> None:
        while True:
            match self.wire.receive():
                case BlobPart() as part:
                    if self._hold():
                        self._make_room(state, blobs)
                    blobs.receive(part, self.wire.reading)
                case Commit() as commit:
                    self._commit(state, commit, idle=idle, seen=seen)
                    return
                case None | Bye():
                    if idle and pending_run(self.machine) is None:
                        write_receipt(self.machine, state)
                    return
                case Desired():
                    raise Problem("a second desired state", code="protocol")

    def _make_room(self, state: DesiredState, blobs: Blobs) -> None:
        """See that there is space. Before a run is refused, every release goes but the live one and the one before."""
        try:
            blobs.require_space(blobs.missing())
        except Problem:
            prune(self.machine, Keep(releases=2), sparing=state)
            blobs.require_space(blobs.missing())

    def _commit(self, state: DesiredState, commit: Commit, *, idle: bool, seen: str | None) -> None:
        if commit.run_id != self.run_id:
            raise Problem("the commit is of another run", code="protocol")
        clock = self.machine.clock
        began = clock.monotonic()
        self._hold()
        if releases.current_id(self.machine) != seen:
            raise Problem(
                "another run changed the node since it was looked at: the plan that was shown is not what would happen",
                code="moved",
                hint="deploy again: it shows the plan from what is there now",
            )
        if idle:
            write_receipt(self.machine, state)
            self.wire.send(Staged())
            labels = [daemon.label for daemon in state.daemons]
            self.wire.send(Done(outcome="unchanged", state_id=state.state_id, services=services(self.machine, labels)))
            return
        try:
            Stage(machine=self.machine, state=state).run()
        except OSError as error:
            raise Problem("staging failed; nothing live has changed", code="stage", detail=str(error)) from error
        previous = releases.current_id(self.machine)
        self._use_this_sync()
        request = RunRequest(
            run_id=self.run_id,
            state_id=state.state_id,
            previous=previous if releases.load(self.machine, previous) else None,
            boot_id=boot_id(self.machine),
            requested_at_seconds=clock.now().timestamp(),
            operator=commit.operator,
            healthy_deadline_seconds=commit.healthy_deadline_seconds,
        )
        hand_over(self.machine, request)
        self._held.close()  # the apply job takes the lock now
        try:
            kick(self.machine)
        except Problem:
            give_up(self.machine, self.run_id)
            raise
        self.wire.send(Staged(seconds=round(clock.monotonic() - began, 3)))
        Tail(machine=self.machine, wire=self.wire, run_id=self.run_id).follow()

    def _hold(self) -> bool:
        """Take the node for this run; whether that was new. Raises Problem `busy`."""
        if self._holding:
            return False
        self._held.enter_context(lock(self.machine, self.run_id, wait=False))
        active = pending_run(self.machine)
        if active is not None:
            raise Problem(
                "the node is busy", code="busy", detail=f"run {active} is at work", hint="wait until it is done"
            )
        self._holding = True
        self.wire.expect_more_within(_SILENCE_SECONDS)
        return True

    def _use_this_sync(self) -> None:
        """The apply job runs the same sync that planned and staged."""
        if self.sync is not None:
            name = f"{self.sync}.pyz"
            if self.machine.disk.link_target(self.machine.layout.current_sync) != name:
                self.machine.disk.symlink(name, self.machine.layout.current_sync)
