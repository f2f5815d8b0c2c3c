"""Weights ahead of a deploy: their blobs land as any others, and their trees get the places that a deploy would use.

The mark comes before the tree: a crash between them spares nothing, and never leaves a tree that nobody spares.
"""

from __future__ import annotations

from collections.abc import Callable

from fleet.node.sync.keeping import PULLED_DAYS
from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import Problem
from fleet.node.sync.pulled import FOLDER_NAME, mark_pulled
from fleet.node.sync.safety import check_state
from fleet.node.sync.stage import Stage
from fleet.vocabulary.contracts.desired import DesiredState, Tree
from fleet.vocabulary.contracts.questions import Stow, Stowed


def stowage(machine: Machine, wish: Stow) -> DesiredState:
    """The wish as a state, which never becomes a release. Raises Problem for anything but weights."""
    for tree in wish.trees:
        if tree.role != "model" or not FOLDER_NAME.fullmatch(_name(tree)) or tree.archive is not None:
            raise Problem(f"{tree.key} is not a model's weights", code="unsafe")
    state = DesiredState(node="", layout=machine.layout, interpreter="", items=wish.trees)
    check_state(machine, state)
    return state


def stow(machine: Machine, state: DesiredState, *, proceed: Callable[[], None]) -> Stowed:
    """Put the weights in place. What is there already is spared anew. Raises Problem."""
    trees = [item for item in state.items if isinstance(item, Tree)]
    proceed()
    for tree in trees:
        mark_pulled(machine, _name(tree))
    try:
        Stage(machine=machine, state=state, proceed=proceed).weights()
    except OSError as error:
        raise Problem("the weights cannot be put in place", code="stage", detail=str(error)) from error
    return Stowed(paths=tuple(tree.path for tree in trees), kept_days=PULLED_DAYS)


def _name(tree: Tree) -> str:
    return tree.path.rpartition("/")[2]
