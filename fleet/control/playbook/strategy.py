"""How a play goes about its nodes. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from fleet.control.playbook.shapes import PAUSE, PLAIN_SPAN, SHARE, Shape
from fleet.vocabulary.units import parse_seconds

MANUAL = "manual"

_Seconds = Annotated[float, Meta(ge=0)] | Annotated[str, Meta(pattern=PLAIN_SPAN)]


class Order(StrEnum):
    """Who goes first. `least_memory`: the smallest Macs, the ones without known memory last."""

    INVENTORY = "inventory"
    REVERSE = "reverse"
    ALPHABETICAL = "alphabetical"
    LEAST_MEMORY = "least_memory"


class OnFailure(StrEnum):
    """What a failed node means for the others. In every case no further node is started.

    A node whose own gates fail goes back by itself. `stop`: the run asks for nothing more. `revert_node`: a node that
    could not go back by itself is asked to once more. `revert_batch`: and the nodes of its batch that changed go back.
    `revert_all`: and those of the whole run.
    """

    REVERT_NODE = "revert_node"
    REVERT_BATCH = "revert_batch"
    REVERT_ALL = "revert_all"
    STOP = "stop"


class LastCopy(StrEnum):
    """What becomes of a node that serves a model of which there are no more copies than the floor asks for.

    `allow`: it changes while all the other copies serve; a model with one copy is away meanwhile. `wait`: it waits
    until the copies that are left are enough. `refuse`: it is skipped.
    """

    ALLOW = "allow"
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True, kw_only=True)
class Pace:
    """A strategy in numbers. `max_unavailable` is a number of nodes (int) or a share of the play's nodes (float).

    `pause_seconds` comes between batches; None with `pause_manual` = until somebody says so.
    """

    canary: int = 0
    max_unavailable: int | float = 1.0
    order: Order = Order.INVENTORY
    pause_seconds: float = 0.0
    pause_manual: bool = False
    floor: int = 1
    last_copy: LastCopy = LastCopy.ALLOW
    confirm_seconds: float | None = None
    on_failure: OnFailure = OnFailure.REVERT_NODE
    healthy_deadline_seconds: float = 600.0
    give_up_after_seconds: float = 120.0


class Strategy(Shape, frozen=True, kw_only=True):
    """Canary first, then so many nodes at once, each batch gated. A node that fails goes back to what it was."""

    canary: Annotated[int, Meta(ge=0, description="Nodes that go first, alone")] = 0
    max_unavailable: Annotated[int, Meta(ge=1)] | Annotated[str, Meta(pattern=SHARE)] = "100%"
    order: Annotated[Order, Meta(description="Who goes first")] = Order.INVENTORY
    pause: (
        Annotated[float, Meta(ge=0, description="Between batches: a span of time, or manual")]
        | Annotated[str, Meta(pattern=PAUSE)]
    ) = 0
    floor: Annotated[int, Meta(ge=0, description="So many copies of every served model stay up")] = 1
    last_copy: Annotated[LastCopy, Meta(description="When a model has no more copies than the floor")] = LastCopy.ALLOW
    confirm: Annotated[
        _Seconds | UnsetType, Meta(description="A node goes back unless a new connection reaches it by then")
    ] = UNSET
    on_failure: Annotated[OnFailure, Meta(description="What goes back when a node fails")] = OnFailure.REVERT_NODE
    healthy_deadline: Annotated[_Seconds, Meta(description="A node that is not healthy by then has failed")] = "10m"
    give_up_after: Annotated[
        _Seconds, Meta(description="So long a run waits for a node that it cannot reach, or for the floor")
    ] = "2m"

    @property
    def pace(self) -> Pace:
        """The strategy in numbers."""
        at_once = self.max_unavailable
        manual = isinstance(self.pause, str) and self.pause.strip() == MANUAL
        return Pace(
            canary=self.canary,
            max_unavailable=int(at_once[:-1]) / 100 if isinstance(at_once, str) else at_once,
            order=self.order,
            pause_seconds=0.0 if manual else parse_seconds(self.pause),
            pause_manual=manual,
            floor=self.floor,
            last_copy=self.last_copy,
            confirm_seconds=None if isinstance(self.confirm, UnsetType) else parse_seconds(self.confirm),
            on_failure=self.on_failure,
            healthy_deadline_seconds=parse_seconds(self.healthy_deadline),
            give_up_after_seconds=parse_seconds(self.give_up_after),
        )
