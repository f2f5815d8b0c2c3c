"""`fleet model move`: load it there, prove it, route to it, and only then drop it here.

What is done already is seen from the inventory and from the nodes, so the same command goes on after a cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from fleet.control.actions.modelnames import ModelBook
from fleet.control.desired.expand import NodePlaybook
from fleet.control.playbook.tasks import SidecarDaemon
from fleet.errors import PartialFailure, UsageError
from fleet.vocabulary.names import NodeName

_ONE_VARIABLE = re.compile(r"\{\{\s*vars\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")

Pins = Mapping[NodeName, Mapping[str, str]]
"""Variables to write beside nodes of the inventory."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """What is wanted. `leave`: the model that `source` serves afterwards; None: a person edits that."""

    model: str
    source: NodeName
    target: NodeName
    leave: str | None = None


@dataclass(frozen=True, kw_only=True)
class Served:
    """Which models the playbook lets the nodes serve, by node, and the variable that chooses it, by node and model."""

    models: Mapping[NodeName, frozenset[str]]
    chosen_by: Mapping[tuple[NodeName, str], str]

    def by(self, model: str) -> frozenset[NodeName]:
        """Who serves it."""
        return frozenset(node for node, models in self.models.items() if model in models)


class Hands(Protocol):
    """What a move is done with. Every call raises FleetError; each can be repeated."""

    def served(self, pins: Pins) -> Served:
        """What inventory and playbook say; with `pins`, what they would say."""
        ...

    def require_fit(self, pins: Pins) -> None:
        """Raise FitError when the model would not fit the target then."""
        ...

    def agree(self, lines: tuple[str, ...]) -> bool:
        """Show what will be done; whether it may."""
        ...

    def pull(self) -> None:
        """Bring the weights to the target."""
        ...

    def write(self, pins: Pins) -> None:
        """Edit the inventory. Raises InventoryError, with the edit in words, where that would disturb something."""
        ...

    def deploy_target(self) -> None:
        """Make the target what the inventory says, through its gates."""
        ...

    def deploy_fronts(self) -> None:
        """Let every front route as the inventory says."""
        ...

    def deploy_source(self) -> None:
        """Make the source what the inventory says; what runs there is drained first."""
        ...

    def prove(self) -> None:
        """Raise unless the target passes its gates now, and every front that there is can route to it."""
        ...

    def tell(self, text: str) -> None:
        """Say what is being done."""
        ...


def served_by(book: ModelBook) -> Served:
    """From what project and playbook say."""
    chosen: dict[tuple[NodeName, str], str] = {}
    for name, own in book.books.items():
        chosen.update({(name, model): variable for model, variable in _variables(own)})
    models = {name: frozenset(one.model for one in roster.sidecars) for name, roster in book.rosters.items()}
    return Served(models=models, chosen_by=chosen)


def carry_out_move(move: Move, hands: Hands) -> bool:
    """The whole move, or what is left of it; False when it was not agreed to. Raises FleetError.

    At no moment is the model served by nobody through our doing: the source is touched when the target was proved.
    """
    now = hands.served({})
    here, there = move.source in now.by(move.model), move.target in now.by(move.model)
    if move.source == move.target:
        raise UsageError("it is there: FROM and TO are one node")
    if not here and not there:
        raise UsageError(
            f"the playbook gives {move.model} to neither {move.source} nor {move.target}",
            hint=f"it is on: {', '.join(sorted(now.by(move.model))) or 'no node'}",
        )
    come = _coming(move, now, hands) if not there else {}
    go = _going(move, now, hands, after=come) if here else {}
    if not hands.agree(_told(move, come, go, here=here)):
        return False
    if come:
        hands.tell(f"bring the weights to {move.target}")
        hands.pull()
        hands.tell(f"write {_words(come)} into the inventory")
        hands.write(come)
    hands.tell(f"load {move.model} on {move.target}")
    hands.deploy_target()
    hands.deploy_fronts()
    hands.tell(f"prove that {move.target} serves it")
    hands.prove()
    if here:
        if not go:
            raise PartialFailure(
                f"{move.target} serves {move.model}; {move.source} still does, too",
                detail=f"The playbook gives it to {move.source}, and what that node is to serve then was not said.",
                hint=f"take it from {move.source} in the inventory, or say --leave MODEL; the same command goes on",
            )
        hands.tell(f"write {_words(go)} into the inventory")
        hands.write(go)
    hands.tell(f"drain and drop it on {move.source}")
    hands.deploy_fronts()
    hands.deploy_source()
    return True


def _coming(move: Move, now: Served, hands: Hands) -> Pins:
    """The edit that gives the model to the target. Raises UsageError, FitError."""
    variable = now.chosen_by.get((move.source, move.model))
    pins: Pins = {move.target: {variable: move.model}} if variable else {}
    after = hands.served(pins) if pins else now
    if move.target not in after.by(move.model):
        why = f"`{variable}` chooses the model of {move.source}, and not that of {move.target}" if variable else ""
        raise UsageError(
            f"how the playbook could give {move.model} to {move.target} is not to be seen",
            detail=why or f"The model of {move.source} is not chosen by one variable: `model: {{{{ vars.x }}}}`.",
            hint=f"give it to {move.target} yourself, beside {move.source}; the same command goes on from there",
        )
    _require_served(now, after)
    hands.require_fit(pins)
    return pins


def _going(move: Move, now: Served, hands: Hands, *, after: Pins) -> Pins:
    """The edit that takes the model from the source; none when nobody said what it serves then."""
    variable = now.chosen_by.get((move.source, move.model))
    if move.leave is None or variable is None:
        return {}
    pins: Pins = {move.source: {variable: move.leave}}
    then = hands.served({**after, **pins})
    if move.source in then.by(move.model):
        raise UsageError(f"{move.source} would still serve {move.model} with {variable}: {move.leave}")
    _require_served(now, then)
    return pins


def _require_served(now: Served, after: Served) -> None:
    """No other model loses its last node. Raises UsageError."""
    was = {model for models in now.models.values() for model in models}
    lost = sorted(model for model in was if not after.by(model))
    if lost:
        raise UsageError(
            f"nobody would serve {', '.join(lost)} any more",
            hint="give it to another node first, or move to a node that serves nothing else",
        )


def _told(move: Move, come: Pins, go: Pins, *, here: bool) -> tuple[str, ...]:
    lines = [f"move {move.model} from {move.source} to {move.target}:"]
    if come:
        lines += [f"  bring the weights to {move.target}", f"  inventory: {_words(come)}"]
    lines += [f"  deploy {move.target}, then the fronts; prove that it serves"]
    if here:
        lines += [f"  inventory: {_words(go)}" if go else f"  wait for your edit of what {move.source} serves"]
    return (*lines, f"  deploy the fronts, then {move.source}: drained and dropped")


def _words(pins: Pins) -> str:
    return "; ".join(f"{node}: {name}: {value}" for node, values in pins.items() for name, value in values.items())


def _variables(book: NodePlaybook) -> list[tuple[str, str]]:
    """The models of a node's sidecars that one variable alone chooses, each with that variable."""
    return [
        (str(book.fill(task).model), match[1])
        for task in book.tasks
        if isinstance(task.action, SidecarDaemon) and (match := _ONE_VARIABLE.fullmatch(task.action.model.strip()))
    ]
