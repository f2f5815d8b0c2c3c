"""How a run walks through its batches: a state machine over events. Pure.

`step(walk, event)` gives the next walk and what is to be done now. It promises: of a play's nodes, no more than
`at_once` are away at any time, the unreachable ones counted; no model falls below its floor by our doing; a canary that
does not answer has failed, and none takes its place; every node of the batches ends in exactly one outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fleet.control.playbook.strategy import OnFailure
from fleet.control.rollout.batches import Batch
from fleet.control.rollout.capacity import Capacity
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
from fleet.vocabulary.contracts.events import Outcome
from fleet.vocabulary.names import NodeName

_LOST = frozenset({Outcome.UNREACHABLE, Outcome.FAILED})


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Where a run stands. `ended` holds what is settled, from before the walk too (nodes that did not answer).

    `unproved` are back and have to be seen to serve. `undo` are the nodes that have yet to go back. `cause` is the
    failure that stopped the run, if one did.
    """

    batches: tuple[Batch, ...]
    capacity: Capacity = field(default_factory=Capacity)
    ended: Mapping[NodeName, Outcome] = field(default_factory=dict)
    out: frozenset[NodeName] = frozenset()
    undoing: frozenset[NodeName] = frozenset()
    mixed: frozenset[NodeName] = frozenset()
    unproved: frozenset[NodeName] = frozenset()
    at: int = 0
    entered: bool = False
    rested: bool = True
    stopped: str = ""
    cause: NodeName | None = None
    undo: tuple[NodeName, ...] | None = None

    @property
    def waiting(self) -> tuple[NodeName, ...]:
        """Nodes that were not started, in order."""
        return tuple(node for batch in self.batches for node in batch.nodes if self.waits(node))

    @property
    def asks(self) -> bool:
        """Whether it rests until somebody says so."""
        return not self.rested and self.batches[self.at - 1].pace.pause_manual

    @property
    def away(self) -> frozenset[NodeName]:
        """Nodes that are being changed or brought back."""
        return self.out | self.undoing

    def batch_of(self, node: NodeName) -> Batch:
        """The batch that names a node."""
        return next(batch for batch in self.batches if node in batch.nodes)

    def may_go(self, node: NodeName) -> bool:
        """Whether the node may go away now, beside those that are."""
        return self.has_room(node) and not self.short(node)

    def short(self, node: NodeName) -> tuple[str, ...]:
        """The models whose floor keeps the node."""
        pace = self.batch_of(node).pace
        return self.capacity.short(node, self.away, pace, unproved=node in self.unproved)

    def has_room(self, node: NodeName) -> bool:
        """Whether `max_unavailable` lets another node of its play go. One that goes back minds only who is away."""
        batch = self.batch_of(node)
        gone = self.away
        if node not in (self.undo or ()):
            gone |= {one for one, outcome in self.ended.items() if outcome is Outcome.UNREACHABLE} | self.mixed
        return len(gone & set(batch.own)) < batch.at_once

    def waits(self, node: NodeName) -> bool:
        """Whether the node was not started, nor settled otherwise."""
        return node not in self.ended and node not in self.out


def step(walk: Walk, event: WalkEvent) -> tuple[Walk, tuple[Command, ...]]:
    """The walk after an event, and what is to be done now."""
    heard = _heard(walk, event)
    patience = not isinstance(event, Seen) or event.patience
    return _going_back(heard, patience=patience) if heard.stopped else _onward(heard, patience=patience)


def _heard(walk: Walk, event: WalkEvent) -> Walk:
    match event:
        case Begun():
            return walk
        case Ended():
            return _ended(walk, event)
        case Undone():
            back = _back(walk, event.node) if event.outcome not in _LOST else walk
            return replace(
                back,
                undoing=walk.undoing - {event.node},
                mixed=walk.mixed - {event.node} if event.outcome is Outcome.REVERTED else walk.mixed,
                ended={**walk.ended, event.node: event.outcome},
            )
        case Rested():
            return replace(walk, rested=True, stopped="" if event.go_on else "the run was ended in the pause before")
        case Seen():
            known = (walk.away | walk.mixed | frozenset(walk.ended)) - walk.unproved
            return replace(walk, capacity=walk.capacity.seen(event.up, keep=known))


def _ended(walk: Walk, event: Ended) -> Walk:
    node, outcome = event.node, event.outcome
    if event.mixed or outcome is Outcome.UNREACHABLE:
        walk = replace(walk, capacity=walk.capacity.stands(node, serves=False))
    elif outcome not in _LOST:
        walk = _back(walk, node)
    bad = outcome not in GOOD
    return replace(
        walk,
        out=walk.out - {node},
        ended={**walk.ended, node: outcome},
        mixed=walk.mixed | {node} if event.mixed else walk.mixed,
        stopped=walk.stopped or (f"{node} {outcome}" if bad else ""),
        cause=walk.cause or (node if bad else None),
    )


def _back(walk: Walk, node: NodeName) -> Walk:
    """The node is back: it serves, or has to be seen first."""
    unproved = walk.capacity.unproved(node)
    return replace(
        walk,
        capacity=walk.capacity.stands(node, serves=not unproved),
        unproved=walk.unproved | {node} if unproved else walk.unproved,
    )


def _onward(walk: Walk, *, patience: bool) -> tuple[Walk, tuple[Command, ...]]:
    commands: list[Command] = []
    while walk.at < len(walk.batches):
        batch = walk.batches[walk.at]
        if not walk.rested:
            pace = walk.batches[walk.at - 1].pace
            seconds = None if pace.pause_manual else pace.pause_seconds
            return walk, (*commands, Rest(batch=walk.at + 1, seconds=seconds))
        if not walk.entered:
            commands.append(Enter(number=walk.at + 1))
            walk = replace(walk, entered=True)
            dead = [node for node in batch.nodes if batch.canary and walk.ended.get(node) not in (None, *GOOD)]
            if dead:
                stopped = replace(walk, stopped=f"the canary {dead[0]} is {walk.ended[dead[0]]}", cause=dead[0])
                stopped, more = _going_back(stopped, patience=patience)
                return stopped, (*commands, *more)
        walk, more = _batch(walk, batch, patience=patience)
        commands += more
        if walk.stopped:
            walk, more = _going_back(walk, patience=patience)
            return walk, (*commands, *more)
        if walk.away or any(isinstance(command, Look) for command in more):
            return walk, tuple(commands)
        pause = batch.pace.pause_manual or batch.pace.pause_seconds > 0
        at = walk.at + 1
        walk = replace(walk, at=at, entered=False, rested=not pause or at == len(walk.batches))
    return walk, (*commands, End())


def _batch(walk: Walk, batch: Batch, *, patience: bool) -> tuple[Walk, tuple[Command, ...]]:
    """Start whom the rules let go; leave out those for whom nothing that is under way makes room."""
    commands: list[Command] = []
    for node in batch.nodes:
        if walk.waits(node) and walk.may_go(node):
            walk = replace(walk, out=walk.out | {node})
            commands.append(Start(node=node))
    held = [node for node in batch.nodes if walk.waits(node)]
    if walk.away or not held:
        return walk, tuple(commands)
    waiting: list[NodeName] = []
    for node in held:
        why = _blocked(walk, node, patience=patience)
        if why:
            walk = replace(walk, ended={**walk.ended, node: Outcome.SKIPPED})
            commands.append(Skip(node=node, why=why))
        else:
            waiting.append(node)
    if waiting:
        commands.append(Look(nodes=tuple(waiting), why=_short_words(walk, waiting[0])))
    elif batch.canary:
        walk = replace(walk, stopped=f"the canary {held[0]} was not changed")
    return walk, tuple(commands)


def _blocked(walk: Walk, node: NodeName, *, patience: bool) -> str:
    """Why a node is left out, with nothing under way that could make room; empty while it may wait."""
    batch = walk.batch_of(node)
    if not walk.has_room(node):
        gone = sorted(one for one in batch.own if walk.ended.get(one) is Outcome.UNREACHABLE or one in walk.mixed)
        return f"{', '.join(gone)} cannot be reached, and max_unavailable is {batch.at_once}"
    if walk.capacity.hopeless(walk.short(node), batch.pace) or not patience:
        return _short_words(walk, node)
    return ""


def _short_words(walk: Walk, node: NodeName) -> str:
    """Why the floor keeps a node."""
    model = walk.short(node)[0]
    serving = sorted(walk.capacity.serving(model, walk.away))
    copies = len(walk.capacity.copies.get(model, ()))
    now = f"only {', '.join(serving)} serves it now" if serving else "nobody was seen to serve it yet"
    return f"{model} has {copies} {'copy' if copies == 1 else 'copies'}, and {now}"


def _going_back(walk: Walk, *, patience: bool) -> tuple[Walk, tuple[Command, ...]]:
    """Start nothing more; when the last one that is out is back, bring back whom the strategy says."""
    commands: list[Command] = []
    for node in walk.waiting:
        walk = replace(walk, ended={**walk.ended, node: Outcome.SKIPPED})
        commands.append(Skip(node=node, why=walk.stopped))
    if walk.out:
        return walk, tuple(commands)
    if walk.undo is None:
        walk = replace(walk, undo=_to_undo(walk))
    for node in walk.undo or ():
        if walk.has_room(node) and (node in walk.mixed or walk.may_go(node)):
            walk = replace(walk, undoing=walk.undoing | {node})
            commands.append(Undo(node=node))
    walk = replace(walk, undo=tuple(node for node in walk.undo or () if node not in walk.undoing))
    if walk.undoing:
        return walk, tuple(commands)
    if walk.undo and patience:
        return walk, (*commands, Look(nodes=walk.undo, why=_short_words(walk, walk.undo[0])))
    return replace(walk, undo=()), (*commands, End())


def _to_undo(walk: Walk) -> tuple[NodeName, ...]:
    """Who goes back, the last one that changed first."""
    if walk.cause is None or walk.at >= len(walk.batches):
        return ()
    batch = walk.batches[walk.at]
    rule = batch.pace.on_failure
    if rule is OnFailure.STOP:
        return ()
    changed = [node for one in walk.batches for node in one.nodes if walk.ended.get(node) is Outcome.CHANGED]
    if rule is OnFailure.REVERT_NODE:
        changed = []
    elif rule is OnFailure.REVERT_BATCH:
        changed = [node for node in changed if node in batch.nodes]
    return tuple(reversed([*changed, *sorted(walk.mixed)]))
