"""What policy knows of one request: its label, whether it may go gray, whose ticket it is, and what it may cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from fleet.node.gateway.policy.toolwatch import ToolWatch
from fleet.traffic.budget.limits import Limit
from fleet.traffic.budget.reserve import Rates
from fleet.traffic.config import Upstream
from fleet.traffic.gray.pool import Turn
from fleet.traffic.sensitivity.labels import Labelled
from fleet.vocabulary.contracts.ledger import Owner, Reservation
from fleet.vocabulary.names import Sensitivity, Track


def _nothing(used_tokens: int | None, at: float) -> None:
    """See Dossier.leave."""


class Attempt(msgspec.Struct, kw_only=True, eq=False):
    """An attempt at an API: what was reserved for it, and how the provider calls it.

    `max_tokens` is what its answer is told to stop at, `max_price` what its provider may cost, each None where nothing
    is capped. `settled`: what it cost is in the books, `cost_pico`; None = nobody knows yet.
    """

    reservation: Reservation
    upstream: Upstream
    rates: Rates | None = None
    max_tokens: int | None = None
    max_price: Mapping[str, float] | None = None
    generation: str = ""
    answered: bool = False
    settled: bool = False
    cost_pico: int | None = None


class Dossier(msgspec.Struct, kw_only=True, eq=False):
    """Begun when the request is admitted, complete when it has ended.

    `asked` and `asked_track` are of the route that the client asked for. `labelled` says who made the label what it is.
    `pool` is the gray route that it counts for, by `turn`; `eligible`: what it is and says lets it go there, else
    `not_eligible` says why not. `gray`: an attempt used credit. `folded`: why it went elsewhere. `withheld`: its label
    keeps it from some upstream of its route. `limits` are those of the dollar track. `leave` ends its place under the
    limits per minute.
    """

    at_milliseconds: int
    owner: Owner
    asked: str
    asked_track: Track
    label: Sensitivity
    labelled: Labelled | None = None
    repository: str = ""
    pool: str = ""
    turn: Turn | None = None
    eligible: bool = False
    not_eligible: str = ""
    gray: bool = False
    ticket: str = ""
    incident: str = ""
    folded: str = ""
    withheld: bool = False
    limits: tuple[Limit, ...] = ()
    tools: ToolWatch | None = None
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    leave: Callable[[int | None, float], None] = _nothing

    @property
    def last(self) -> Attempt | None:
        """The attempt at an API that is under way, or was the last."""
        return self.attempts[-1] if self.attempts else None
