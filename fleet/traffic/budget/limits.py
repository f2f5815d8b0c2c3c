"""What money is counted by, and how much of it there may be. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a sum is over."""

    FLEET = "fleet"
    TRACK = "track"
    KEY = "key"
    PERSON = "person"
    TEAM = "team"
    TICKET = "ticket"
    INCIDENT = "incident"


class Scope(NamedTuple):
    """One sum of many: the key `ci`, the track `dollar`, the whole fleet (which has no name)."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}" if self.name else "the whole fleet"


FLEET = Scope(Kind.FLEET)


class Sum(NamedTuple):
    """What a scope spent, has promised (reserved, not settled) and used. Amounts in pico-dollars.

    `tokens` are those of requests that ended; `held_tokens` what requests in flight may still use.
    """

    spent: int = 0
    reserved: int = 0
    tokens: int = 0
    held_tokens: int = 0

    @property
    def committed(self) -> int:
        """What may be gone: spent and reserved."""
        return self.spent + self.reserved

    @property
    def committed_tokens(self) -> int:
        """The same in tokens."""
        return self.tokens + self.held_tokens


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound on a scope: per month, or (`forever`) over the life of the ledger, as a ticket's. None = no bound.

    `code` and `status` are what a client is told that meets it.
    """

    scope: Scope
    pico: int | None = None
    tokens: int | None = None
    forever: bool = False
    code: str = "budget_exhausted"
    status: int = 402

    def stops_pico(self, found: Sum, more: int) -> bool:
        """Whether `more` pico-dollars are too many. What is free is never too much."""
        return self.pico is not None and more > 0 and found.committed + more > self.pico

    def stops_tokens(self, found: Sum, more: int) -> bool:
        """Whether `more` tokens are too many."""
        return self.tokens is not None and found.committed_tokens + more > self.tokens
