"""One conversation with a laptop: facts, the plan, blobs, staging, and the run: the apply job's, or done in place.

Until the run begins, nothing live changes; after that, a laptop that goes away changes nothing.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field

import fleet
from fleet.node.sync import releases
from fleet.node.sync.audit import made_live, record
from fleet.node.sync.blobs import Blobs
from fleet.node.sync.facts import boot_id, collect_facts
from fleet.node.sync.frames import Wire
from fleet.node.sync.holding import Holding
from fleet.node.sync.inplace import InPlace, needs_no_launchd
from fleet.node.sync.launchd import service_state
from fleet.node.sync.leases import Leases
from fleet.node.sync.live import live_record
from fleet.node.sync.machine import Machine
from fleet.node.sync.moved import require_same_steps
from fleet.node.sync.observe import observe
from fleet.node.sync.observed import ObservedNode
from fleet.node.sync.pending import hand_over, pending_run
from fleet.node.sync.problem import Problem
from fleet.node.sync.prune import prune, prune_models
from fleet.node.sync.receipt import write_receipt
from fleet.node.sync.safety import check_state
from fleet.node.sync.stage import Stage
from fleet.node.sync.steps import steps
from fleet.node.sync.tail import Tail, give_up, kick, services
from fleet.node.sync.texts import kept_texts, last_writes, live_texts
from fleet.vocabulary.contracts.audit import AuditLine
from fleet.vocabulary.contracts.codec import digest_of
from fleet.vocabulary.contracts.desired import DesiredState, Keep
from fleet.vocabulary.contracts.peers import Fetch, Give, Still
from fleet.vocabulary.contracts.questions import Collect, Reboot, Recall, Recalled, Restart, Seal, Stow, Stowing
from fleet.vocabulary.contracts.sync import (
    BlobPart,
    Bye,
    Commit,
    Desired,
    Done,
    Failed,
    Held,
    Hello,
    Hold,
    Lease,
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
_NONE_LIVE = "-"


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the plan was made of: the state, what was live and what was found then, and the steps."""

    state: DesiredState
    look: ObservedNode
    current: str | None
    todo: tuple[Step, ...]
    idle: bool


@dataclass(kw_only=True)
class Session:
    """Speaks with one laptop. `sync` is the digest of the zipapp that runs, when it is one of ROOT/sync."""

    machine: Machine
    wire: Wire
    state_id: str
    run_id: str
    sync: str | None = None
    _holding: Holding = field(init=False)

    def __post_init__(self) -> None:
        self._holding = Holding(self.machine, self.run_id)

    def run(self) -> int:
        """The whole conversation; the exit status."""
        self.wire.greet()
        try:
            with closing(self._holding):
                self._hello()
                self._serve()
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

    def _serve(self) -> None:
        frame = self.wire.receive()
        while isinstance(frame, Hold | Recall):  # a plan may be wanted of a node that is ours, or of what was here
            self.wire.send(self._take(frame) if isinstance(frame, Hold) else self._recall(frame))
            frame = self.wire.receive()
        match frame:
            case None | Bye():
                pass
            case Desired():
                self._plan(frame.state, contents=frame.contents)
            case Collect():
                self._collect(frame)
            case Stow():
                self._stow(frame)
            case Give():
                self._give(frame)
            case Reboot():
                from fleet.node.sync.reboot import reboot

                self._take(Hold(holder=frame.operator or "a restart"))
                reboot(self.machine, frame, run_id=self.run_id, told=self.wire.send)
            case Restart():
                self._restart(frame)
            case BlobPart() | Commit() | Seal() | Fetch() | Still():
                raise Problem(f"{frame.kind} comes too early", code="protocol")
            case _:
                from fleet.node.sync.questions import answer

                self.wire.send(answer(self.machine, frame, told=self.wire.send))

    def _recall(self, wish: Recall) -> Recalled:
        from fleet.node.sync.questions import recall  # what a deploy does not need is not loaded: every node would pay

        return recall(self.machine, wish)

    def _hello(self) -> None:
        """Who the node is. A run that was left unfinished is woken: its apply job finishes or reverts it."""
        active = pending_run(self.machine)
        if active is not None:
            try:
                kick(self.machine)
            except Problem:
                pass  # the laptop may be here to mend exactly that; Hello names the run
        current = releases.current_id(self.machine)
        live = live_record(self.machine, current)
        self.wire.send(
            Hello(
                state_id=current,
                release=current,
                sync=self.sync,
                fleet_version=fleet.__version__,
                time_seconds=self.machine.clock.now().timestamp(),
                active_run=active,
                facts=collect_facts(self.machine),
                lease=Leases(machine=self.machine).held(),
                live_fleet_version=live.fleet_version if live else None,
                git_commit=live.git_commit if live else None,
                git_dirty=live.git_dirty if live else None,
            )
        )

    def _collect(self, wish: Collect) -> None:
        """Housekeeping alone, by the limits of the live release. Never beside a run."""
        self._take(Hold(holder="housekeeping"))
        live = releases.load(self.machine, releases.current_id(self.machine))
        keep = (live.keep if live else None) or Keep()
        if wish.models_only:
            self.wire.send(prune_models(self.machine, dry_run=wish.dry_run, pulled_too=wish.pulled_too))
        else:
            self.wire.send(prune(self.machine, keep, dry_run=wish.dry_run, measure=True))

    def _restart(self, wish: Restart) -> None:
        """Services of the live release, as a run: the laptop may go away meanwhile."""
        from fleet.node.sync.restart import chosen

        self._take(Hold(holder=wish.operator or "a restart"))
        current = releases.current_id(self.machine)
        live = releases.load(self.machine, current)
        if current is None or live is None:
            raise Problem("nothing is deployed on this node", code="no_release", hint="fleet deploy brings it")
        request = RunRequest(
            run_id=self.run_id,
            state_id=current,
            previous=current,
            boot_id=boot_id(self.machine),
            requested_at_seconds=self.machine.clock.now().timestamp(),
            operator=wish.operator,
            fence=self._holding.fence,
            force=wish.force,
            action="restart",
            fleet_version=wish.fleet_version,
            restart=tuple(daemon.label for daemon in chosen(live, wish.services)),
            drain_seconds=wish.drain_seconds,
        )
        self._use_this_sync()
        self._holding.hand_over()
        hand_over(self.machine, request)
        self._holding.let_go()
        try:
            kick(self.machine)
        except Problem:
            give_up(self.machine, self.run_id)
            raise
        Tail(machine=self.machine, wire=self.wire, run_id=self.run_id).follow()

    def _stow(self, wish: Stow) -> None:
        """Weights ahead of a deploy: they get their places, and nothing else changes."""
        from fleet.node.sync.stow import stow, stowage

        state = stowage(self.machine, wish)
        self._require_volume()
        blobs, roomy = Blobs(machine=self.machine, state=state), False
        missing = blobs.missing()
        free = self.machine.disk.free_bytes(blobs.volume)
        self.wire.send(Stowing(missing=missing, needed_bytes=blobs.needed_bytes(missing), free_bytes=free))
        while not isinstance(frame := self.wire.receive(), Bye | None):
            if isinstance(frame, Still):
                continue
            if not isinstance(frame, BlobPart | Fetch | Seal):
                raise Problem(f"{frame.kind} comes too late", code="protocol")
            if self._holding.fence is None:
                self._take(Hold(holder=wish.holder))
            if isinstance(frame, Seal):
                stowed = stow(self.machine, state, proceed=self._holding.require)
                self._holding.close()  # whoever hears of it may come back at once
                self.wire.send(stowed)
                return
            self._receive(frame, state, blobs, roomy=roomy)
            roomy = True

    def _give(self, wish: Give) -> None:
        """Serve weights to other nodes until the laptop has heard enough, or is not heard any more. Takes no lease."""
        from fleet.node.sync.giving import Heeding, giving
        from fleet.node.sync.stow import stowage

        stowage(self.machine, Stow(trees=wish.trees))  # weights and nothing else
        self._require_volume()
        with giving(self.machine, wish) as door:
            self.wire.expect_more_within(wish.seconds, watcher=Heeding())
            self.wire.send(door)
            while isinstance(frame := self.wire.receive(), Still):
                pass
            if not isinstance(frame, Bye | None):
                raise Problem(f"{frame.kind} has no place in giving", code="protocol")

    def _require_volume(self) -> None:
        """The models' volume is there, where the node has one. Raises Problem."""
        if self.machine.layout.models_volume is not None:
            from fleet.node.sync.volume import require_models_volume

            require_models_volume(self.machine)

    def _plan(self, state: DesiredState, *, contents: bool) -> None:
        check_state(self.machine, state)
        self._require_volume()
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
                written=last_writes(machine=self.machine, state=state, todo=todo),
                missing=missing,
                services=tuple(
                    service_state(daemon.label, observed.daemons[daemon.label].printed) for daemon in state.daemons
                ),
                needed_bytes=blobs.needed_bytes(missing),
                free_bytes=self.machine.disk.free_bytes(self.machine.layout.root),
                bad=releases.why_bad(self.machine, state.state_id),
                contents=kept_texts(self.machine, state, previous, todo=todo) if contents else {},
            )
        )
        seen = _Seen(state=state, look=observed, current=current, todo=todo, idle=not todo and not missing)
        self._converse(seen, blobs)

    def _converse(self, seen: _Seen, blobs: Blobs) -> None:
        state, idle, roomy = seen.state, seen.idle, False
        while True:
            match self.wire.receive():
                case Hold() as wish:
                    self.wire.send(self._take(wish))
                case BlobPart() | Fetch() as part:
                    self._receive(part, state, blobs, roomy=roomy)
                    roomy = True
                case Still():
                    pass
                case Commit() as commit:
                    self._commit(seen, commit)
                    return
                case None | Bye():
                    if idle and pending_run(self.machine) is None:
                        write_receipt(self.machine, state)
                    return
                case frame:
                    raise Problem(f"{frame.kind} comes too late", code="protocol")

    def _receive(self, part: BlobPart | Fetch, state: DesiredState, blobs: Blobs, *, roomy: bool) -> None:
        if self._holding.fence is None:
            self._take(Hold())
        self._holding.require()
        if not roomy:
            self._make_room(state, blobs)
        if isinstance(part, Fetch):
            from fleet.node.sync.fetching import Fetching

            self.wire.send(Fetching(blobs=blobs, proceed=self._holding.heard, told=self.wire.send).run(part))
        else:
            blobs.receive(part, self.wire.reading)

    def _make_room(self, state: DesiredState, blobs: Blobs) -> None:
        """See that there is space. Before a run is refused, every release goes but the live one and the one before."""
        try:
            blobs.require_space(blobs.missing())
        except Problem:
            prune(self.machine, Keep(releases=2), sparing=state)
            blobs.require_space(blobs.missing())

    def _commit(self, seen: _Seen, commit: Commit) -> None:
        if commit.run_id != self.run_id:
            raise Problem("the commit is of another run", code="protocol")
        state, holding = seen.state, self._holding
        began = self.machine.clock.monotonic()
        if seen.idle:
            self._unchanged(seen, commit)
            return
        if holding.fence is None:
            self._take(Hold(holder=commit.operator, key_fingerprint=commit.key_fingerprint))
        if commit.fence not in (None, holding.fence):
            raise Problem("the commit has another fence than this run was given", code="protocol")
        holding.require()
        self._require_unmoved(seen, commit)
        require_same_steps(self.machine, state, releases.load(self.machine, seen.current), seen.look, shown=seen.todo)
        try:
            Stage(machine=self.machine, state=state, proceed=holding.require, told=self.wire.send).run()
        except OSError as error:
            raise Problem("staging failed; nothing live has changed", code="stage", detail=str(error)) from error
        self._use_this_sync()
        holding.hand_over()
        hand_over(self.machine, self._request(seen, commit))
        holding.let_go()  # whoever does the run takes the lock now
        staged = Staged(seconds=round(self.machine.clock.monotonic() - began, 3))
        previous = releases.load(self.machine, seen.current)
        if not commit.confirm_seconds and needs_no_launchd(seen.todo, wanted=state, previous=previous):
            InPlace(machine=self.machine, wire=self.wire, run_id=self.run_id).run(staged)
            return
        try:
            kick(self.machine)
        except Problem:
            give_up(self.machine, self.run_id)
            raise
        self.wire.send(staged)
        Tail(machine=self.machine, wire=self.wire, run_id=self.run_id).follow()

    def _unchanged(self, seen: _Seen, commit: Commit) -> None:
        """Nothing is to be done: that takes no lease."""
        if self._holding.fence is None:
            self._holding.lock()
        self._require_unmoved(seen, commit)
        write_receipt(self.machine, seen.state)
        self.wire.send(Staged())
        labels = [daemon.label for daemon in seen.state.daemons]
        done = Done(outcome="unchanged", state_id=seen.state.state_id, services=services(self.machine, labels))
        self.wire.send(done)

    def _request(self, seen: _Seen, commit: Commit) -> RunRequest:
        # What is gone back to comes from where it came from then: of a rollback only the node knows that.
        back = commit.action == "rollback" and commit.git_commit is None
        made = made_live(self.machine).get(seen.state.state_id) if back else None
        return RunRequest(
            run_id=self.run_id,
            state_id=seen.state.state_id,
            previous=seen.current if releases.load(self.machine, seen.current) else None,
            boot_id=boot_id(self.machine),
            requested_at_seconds=self.machine.clock.now().timestamp(),
            operator=commit.operator,
            healthy_deadline_seconds=commit.healthy_deadline_seconds,
            fence=self._holding.fence,
            confirm_seconds=commit.confirm_seconds,
            force=commit.force,
            expect_current=commit.expect_current,
            action=commit.action,
            plan=digest_of(seen.todo),
            git_commit=made.git_commit if made else commit.git_commit,
            git_dirty=made.git_dirty if made else commit.git_dirty,
            key_fingerprint=commit.key_fingerprint,
            fleet_version=commit.fleet_version,
        )

    def _require_unmoved(self, seen: _Seen, commit: Commit) -> None:
        """What is live is what the plan was made against. Raises Problem `moved`."""
        expected = seen.current or _NONE_LIVE
        current = releases.current_id(self.machine) or _NONE_LIVE
        if current != expected or commit.expect_current not in (None, current):
            raise Problem(
                "another run changed the node since it was looked at: the plan that was shown is not what would happen",
                code="moved",
                hint="deploy again: it shows the plan from what is there now",
            )

    def _take(self, wish: Hold) -> Held:
        """Take the node for this run. Raises Problem `busy`."""
        held = self._holding.take(wish)
        if held.stolen_from is not None:
            self._tell_audit(wish, held.stolen_from)
        self.wire.expect_more_within(wish.seconds, watcher=self._holding)
        return held

    def _tell_audit(self, wish: Hold, victim: Lease) -> None:
        line = AuditLine(
            seq=0,
            at_seconds=self.machine.clock.now().timestamp(),
            action="steal",
            outcome="committed",
            run_id=self.run_id,
            operator=wish.holder,
            key_fingerprint=wish.key_fingerprint,
            before=releases.current_id(self.machine),
            after=releases.current_id(self.machine),
            text=f"the node was taken over from run {victim.run_id} of {victim.holder or 'somebody'}",
        )
        record(self.machine, line)

    def _use_this_sync(self) -> None:
        """The apply job runs the same sync that planned and staged."""
        if self.sync is not None:
            name = f"{self.sync}.pyz"
            if self.machine.disk.link_target(self.machine.layout.current_sync) != name:
                self.machine.disk.symlink(name, self.machine.layout.current_sync)
