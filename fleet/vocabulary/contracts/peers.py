"""Weights from node to node, for as long as a run goes on. Standard library only; travels with sync.

A node that has weights gets Give in the place of Desired, in a conversation of its own, and answers with Giving: it
listens, and serves until that conversation ends. One that lacks them gets Fetch where a BlobPart could come, tells
Progress, and answers with Fetched. What it could not get there is fetched elsewhere, or sent by the laptop.

Between the two: TLS with a key that the giver made for this conversation; the laptop tells the other its pin. Then

    GET TOKEN DIGEST OFFSET  -->
                               <--  OK SIZE, and SIZE raw bytes from OFFSET to the end of the blob
                               <--  NO WHY

again and again on one connection. DIGEST is 64 hex digits. Both sides are the laptop's own sync, of one version.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from fleet.vocabulary.contracts.desired import Tree
from fleet.vocabulary.contracts.sync import Missing

PIECE_BYTES = 16 * 1024 * 1024
"""A blob is checked by pieces of that size while it comes; the last one is shorter."""


@dataclass(frozen=True, kw_only=True)
class Give:
    """Serve these weights to whoever knows `token`, on `host` if that is an address of this node, else on all.

    `most_takers` at once; all together get `bytes_per_second` (None: what the line gives). Still is to be heard every
    `seconds`.
    """

    kind: ClassVar[str] = "give"
    trees: tuple[Tree, ...] = ()
    token: str = field(default="", repr=False)
    host: str = ""
    most_takers: int = 2
    bytes_per_second: int | None = None
    seconds: float = 120.0


@dataclass(frozen=True, kw_only=True)
class Giving:
    """Where it listens. `pin` is the SHA-256 of its certificate, 64 hex digits."""

    kind: ClassVar[str] = "giving"
    port: int
    pin: str


@dataclass(frozen=True, kw_only=True)
class Still:
    """The laptop is still there, and has nothing to say. Not answered."""

    kind: ClassVar[str] = "still"


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Get a blob that is missing from the node that gives it. `pieces` are the SHA-256 of each piece, if known."""

    kind: ClassVar[str] = "fetch"
    digest: str
    host: str
    port: int
    pin: str
    token: str = field(default="", repr=False)
    pieces: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """How that went. `left` is None when the blob is here and verified, else how much of it is, and `why` it ended.

    `reached`: the giver was there, and was the one that it should be.
    """

    kind: ClassVar[str] = "fetched"
    digest: str
    received_bytes: int = 0
    left: Missing | None = None
    reached: bool = True
    why: str = ""
