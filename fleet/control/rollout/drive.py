"""Carries out a run's walk: nodes work in threads, everything is decided on the caller's.

    Drive(walk, crew=..., ...).run()      step, save, do, wait for what happens; step again

The walk is saved before its commands are done, so a laptop that dies leaves a file that knows who may have begun.
"""

from __future__ import annotations

import queue
import traceback
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.capacity import Serving
from fleet.control.rollout.journal import Journal
from fleet.control.rollout.moves import (
    GOOD,
    Begun,
    Command,
    End,
    Ended,
    Enter,
    Look,
    Rest,
    Rested,
    Seen,
    Skip,
    Start,
    Undo,
    Undone,
    WalkEvent,
)
from fleet.control.rollout.nodejob import NodeResult, failed
from fleet.control.rollout.wake import SleepWatch
from fleet.control.rollout.walk import Walk, step
from fleet.errors import FleetError, NodeError
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.events import Outcome, Phase
from fleet.vocabulary.names import NodeName

_LOOK_SECONDS = 5.0
_TICK_SECONDS = 2.0


class Crew(Protocol):
    """Who works on nodes. Every call but `cut` may take minutes, and may raise FleetError."""

    def change(self, node: NodeName, pace: Pace) -> NodeResult:
        """Change a node and see it to its end."""
        ...

    def attach(self, node: NodeName, pace: Pace) -> NodeResult:
        """Follow a change that was begun before; a node that never took it ends as skipped."""
        ...

    def bring_back(self, node: NodeName, pace: Pace) -> NodeResult:
        """Bring a node back to what it was before the run."""
        ...

    def cut(self, node: NodeName) -> None:
        """Close the node's connection: whoever waits on it reaches for the node again."""
        ...


@dataclass(frozen=True, kw_only=True)
class Aids:
    """What a drive is told and asked through. `finish` hears of every node's end.

    `look` says who serves which model now, told who came back well; None when that cannot be known. `ask` says whether
    batch number N may begin, None when nobody is there. `action` is the command that goes on with the run.
    """

    finish: Callable[[NodeResult], None] = lambda _: None
    save: Callable[[Walk], None] = lambda _: None
    look: Callable[[frozenset[NodeName]], Serving | None] = lambda _: None
    ask: Callable[[int], bool | None] = lambda _: None
    action: str = "deploy"


class Drive:
    """One run on its way. Built without I/O."""

    def __init__(self, walk: Walk, *, crew: Crew, aids: Aids, pool: Executor, journal: Journal, clock: Clock) -> None:
        self._walk = walk
        self._crew = crew
        self._aids = aids
        self._pool = pool
        self._journal = journal
        self._clock = clock
        self._happened: queue.SimpleQueue[WalkEvent] = queue.SimpleQueue()
        self._sleep = SleepWatch(clock)
        self._looking_since: float | None = None
        self._told = False

    def run(self) -> Walk:
        """To the end of the walk, or to a pause with nobody there to end it. Nodes that are out are attached to."""
        for node in sorted(self._walk.out):
            self._submit(node, self._crew.attach)
        for node in sorted(self._walk.undoing):
            self._submit(node, self._crew.bring_back)
        event: WalkEvent | None = Begun()
        while event is not None:
            self._walk, commands = step(self._walk, event)
            self._aids.save(self._walk)
            event = self._do(commands)
        return self._walk

    def _do(self, commands: tuple[Command, ...]) -> WalkEvent | None:
        """Do what is to be done; what happens then. None: the run is over here."""
        looks = [command for command in commands if isinstance(command, Look)]
        self._looking_since = self._looking_since if looks else None
        for command in commands:
            match command:
                case Enter():
                    self._enter(command)
                case Start():
                    self._submit(command.node, self._crew.change)
                case Undo():
                    self._journal.say(Phase.REVERT, "start", "with the others of its run", node=command.node)
                    self._submit(command.node, self._crew.bring_back)
                case Skip():
                    detail = f"not started: {command.why}"
                    self._aids.finish(NodeResult(name=command.node, outcome=Outcome.SKIPPED, detail=detail))
                case Rest():
                    return self._rest(command)
                case Look():
                    return self._look(command)
                case End():
                    return None
        return self._next()

    def _enter(self, command: Enter) -> None:
        batch = self._walk.batches[command.number - 1]
        what = "canary" if batch.canary else f"batch {command.number} of {len(self._walk.batches)}"
        self._journal.say(Phase.APPLY, "note", f"{what} ({batch.play}): {', '.join(batch.nodes)}")

    def _rest(self, command: Rest) -> Rested | None:
        if command.seconds is not None:
            self._journal.say(Phase.APPLY, "note", f"pause of {command.seconds:g} s before batch {command.batch}")
            self._clock.sleep(command.seconds)
            return Rested()
        go_on = self._aids.ask(command.batch)
        if go_on is not None:
            return Rested(go_on=go_on)
        how = f"fleet {self._aids.action} --resume {self._journal.run_id}"
        detail = f"waits in the pause before batch {command.batch}: {how}"
        for node in self._walk.waiting:
            self._aids.finish(NodeResult(name=node, outcome=Outcome.SKIPPED, detail=detail))
        return None

    def _look(self, command: Look) -> Seen:
        now = self._clock.monotonic()
        if self._looking_since is None:  # the first look often ends it: then there is nothing to tell
            self._looking_since, self._told = now, False
        else:
            if not self._told:
                self._journal.say(Phase.APPLY, "note", f"{', '.join(command.nodes)}: waits, {command.why}")
                self._told = True
            self._clock.sleep(_LOOK_SECONDS)
        well = frozenset(node for node, outcome in self._walk.ended.items() if outcome in (*GOOD, Outcome.REVERTED))
        up = self._aids.look(well)
        patience = self._walk.batch_of(command.nodes[0]).pace.give_up_after_seconds
        left = up is not None and self._clock.monotonic() - self._looking_since < patience
        return Seen(up=self._walk.capacity.up if up is None else up, patience=left)

    def _next(self) -> WalkEvent:
        while True:
            try:
                return self._happened.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                slept = self._sleep.look()
            if slept:
                self._journal.say(Phase.APPLY, "note", f"this laptop slept for {slept:.0f} s: asking the nodes again")
                for node in self._walk.away:
                    self._crew.cut(node)

    def _submit(self, node: NodeName, work: Callable[[NodeName, Pace], NodeResult]) -> None:
        pace = self._walk.batch_of(node).pace
        self._pool.submit(self._work, node, pace, work)

    def _work(self, node: NodeName, pace: Pace, work: Callable[[NodeName, Pace], NodeResult]) -> None:
        """In a thread of the pool: whatever happens, the walk hears of it."""
        try:
            result = work(node, pace)
        except FleetError as error:
            result = failed(node, error)
        except Exception as error:  # noqa: BLE001 (one node's trouble must not leave the others unheard)
            detail = "".join(traceback.format_exception(error))
            result = failed(node, NodeError(f"fleet's own mistake: {error!r}", node=node, detail=detail))
        self._aids.finish(result)
        if node in self._walk.undoing:
            self._happened.put(Undone(node=node, outcome=result.outcome))
        else:
            self._happened.put(Ended(node=node, outcome=result.outcome, mixed=result.mixed))
