"""The last look before anything is touched: what was shown to a person is what will happen, or nothing does."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.node.sync.machine import Machine
from fleet.node.sync.observe import observe
from fleet.node.sync.observed import ObservedNode
from fleet.node.sync.problem import Problem
from fleet.node.sync.steps import steps
from fleet.vocabulary.contracts.desired import DesiredState
from fleet.vocabulary.contracts.shown import told_apart
from fleet.vocabulary.contracts.sync import Step

_RECORD = "release"  # the step of a plan that has none: only the record changes


def require_same_steps(
    machine: Machine,
    desired: DesiredState,
    previous: DesiredState | None,
    look: ObservedNode,
    *,
    shown: Iterable[Step],
) -> None:
    """Look again, and raise Problem `moved` when other steps are needed now than were shown.

    Checks of commands are not run again: what they say is a "may" anyhow.
    """
    now = steps(desired, observe(machine, desired, previous, commands=look.commands), previous)
    different = told_apart((step for step in shown if step.kind_of != _RECORD), now)
    if different:
        raise Problem(
            "the node has changed since it was looked at: the plan that was shown is not what would happen",
            code="moved",
            detail="\n".join(different),
            hint="deploy again: it shows the plan from what is there now",
        )
