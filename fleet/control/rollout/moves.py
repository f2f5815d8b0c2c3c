"""What happens to a run, and what it does about it: the events and commands of its walk. Values."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.control.rollout.capacity import Serving
from fleet.vocabulary.contracts.events import Outcome
from fleet.vocabulary.names import NodeName

GOOD = frozenset({Outcome.CHANGED, Outcome.UNCHANGED})
"""The outcomes of a node that is as it should be."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A node's change is over. `mixed`: it is neither new nor as it was."""

    node: NodeName
    outcome: Outcome
    mixed: bool = False


@dataclass(frozen=True, kw_only=True)
class Undone:
    """A node was asked to go back; `outcome` is how it stands now."""

    node: NodeName
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Rested:
    """The pause before a batch is over; without `go_on` the run ends here."""

    go_on: bool = True


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Who serves what was looked up again. `patience` is over: who still waits for the floor is left out."""

    up: Serving
    patience: bool = True


@dataclass(frozen=True, kw_only=True)
class Begun:
    """The first event; and the one after a run was taken up again."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Change a node."""

    node: NodeName


@dataclass(frozen=True, kw_only=True)
class Undo:
    """Bring a node back to what it was before the run."""

    node: NodeName


@dataclass(frozen=True, kw_only=True)
class Skip:
    """A node is left as it is; its outcome is `skipped`."""

    node: NodeName
    why: str


@dataclass(frozen=True, kw_only=True)
class Rest:
    """Pause before the batch of this number (from 1); None = until somebody says so."""

    batch: int
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Look:
    """Nothing is under way and `nodes` wait for the floor: look who serves what, after a while."""

    nodes: tuple[NodeName, ...]
    why: str


@dataclass(frozen=True, kw_only=True)
class Enter:
    """A batch begins; `number` counts from 1."""

    number: int


@dataclass(frozen=True, kw_only=True)
class End:
    """The run is over."""


WalkEvent = Begun | Ended | Undone | Rested | Seen
Command = Start | Undo | Skip | Rest | Look | Enter | End
