"""How a play goes about its nodes. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from fleet.control.playbook.shapes import SHARE, Shape, Span
from fleet.vocabulary.units import parse_seconds

LATER_FIELDS = ("order", "pause", "confirm")
LATER_VALUES = {"on_failure": ("revert_batch", "revert_all")}


@dataclass(frozen=True, kw_only=True)
class Pace:
    """A strategy in numbers. `max_unavailable` is a number of nodes (int) or a share of the play's nodes (float)."""

    canary: int = 0
    max_unavailable: int | float = 1.0
    stop_on_failure: bool = True
    healthy_deadline_seconds: float = 600.0


class Strategy(Shape, frozen=True, kw_only=True):
    """Canary first, then so many nodes at once, each batch gated.

    A node that fails goes back to its previous release; `revert_node` and `stop` both stop the run there.
    """

    canary: Annotated[int, Meta(ge=0, description="Nodes that go first, alone")] = 0
    max_unavailable: Annotated[int, Meta(ge=1)] | Annotated[str, Meta(pattern=SHARE)] = "100%"
    on_failure: Literal["revert_node", "stop"] = "revert_node"
    healthy_deadline: Annotated[Span, Meta(description="A node that is not healthy by then has failed")] = "10m"

    @property
    def pace(self) -> Pace:
        """The strategy in numbers."""
        at_once = self.max_unavailable
        return Pace(
            canary=self.canary,
            max_unavailable=int(at_once[:-1]) / 100 if isinstance(at_once, str) else at_once,
            stop_on_failure=True,
            healthy_deadline_seconds=parse_seconds(self.healthy_deadline),
        )
