"""What policy knows of one request: its label, whether it may go gray, whose ticket it is, and what it may cost."""

from __future__ import annotations

import msgspec

from fleet.node.gateway.policy.toolwatch import ToolWatch
from fleet.traffic.config import Upstream
from fleet.vocabulary.contracts.ledger import Owner, Reservation
from fleet.vocabulary.names import Sensitivity, Track


class Attempt(msgspec.Struct, kw_only=True, eq=False):
    """An attempt at an API: what was reserved for it, and how the provider calls it.

    `most_tokens` is the most that it can take, prompt and answer. `settled`: what it cost is in the books.
    """

    reservation: Reservation
    upstream: Upstream
    most_tokens: int = 0
    generation: str = ""
    answered: bool = False
    settled: bool = False


class Dossier(msgspec.Struct, kw_only=True, eq=False):
    """Begun when the request is admitted, complete when it has ended.

    `asked` and `asked_track` are of the route that the client asked for. `label_by` says who made the label what it is.
    `eligible`: it could go to the gray pool `pool`; else `not_eligible` is why not. `gray`: an attempt used credit;
    `counted`: another attempt made credit. `folded`: why it went elsewhere. `repo` is the tag of the repository.
    """

    at_milliseconds: int
    owner: Owner
    asked: str
    asked_track: Track
    label: Sensitivity
    label_by: str = ""
    repo: str = ""
    pool: str = ""
    eligible: bool = False
    not_eligible: str = ""
    gray: bool = False
    counted: bool = False
    ticket: str = ""
    incident: str = ""
    folded: str = ""
    tools_offered: int = 0
    tools: ToolWatch | None = None
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    entered: bool = False

    @property
    def open_attempt(self) -> Attempt | None:
        """The attempt that is under way, or was the last."""
        return self.attempts[-1] if self.attempts else None
