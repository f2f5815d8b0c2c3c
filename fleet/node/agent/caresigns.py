"""What care looks at, and what it may do. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleet.vocabulary.contracts.gateway_admin import AGENT
from fleet.vocabulary.names import Intent

Process = tuple[int, float | None]
"""A pid, and when it started (Unix seconds) where that is known."""


@dataclass(frozen=True, kw_only=True)
class Signs:
    """What is known of the sidecar now; None = unknown. `gateway`: this node has one whose door we may use.

    `intent` and `by` are what that gateway holds; `ready_at` is when readiness was last tried. `jitter_ratio` (0-1)
    sets this node's refresh apart from others'.
    """

    pid: int | None = None
    started_at_seconds: float | None = None
    live: bool | None = None
    ready: bool | None = None
    ready_at_seconds: float | None = None
    problem: str = ""
    footprint_bytes: int | None = None
    refusing_seconds: float | None = None
    in_flight: int | None = None
    waiting: int = 0
    served_at_seconds: float | None = None
    gateway: bool = False
    intent: Intent | None = None
    by: str = ""
    boot_seconds: float | None = None
    panic_at_seconds: float | None = None
    jitter_ratio: float = 0.0

    @property
    def ours(self) -> bool:
        """Whether it is drained by this agent."""
        return self.intent in (Intent.DRAINING, Intent.DRAINED) and self.by.startswith(AGENT)

    @property
    def operators(self) -> bool:
        """Whether somebody else drained it."""
        return self.intent in (Intent.DRAINING, Intent.DRAINED) and not self.by.startswith(AGENT)

    @property
    def works(self) -> bool:
        """Whether the process that runs now was seen to generate; not its predecessor."""
        at, started = self.ready_at_seconds, self.started_at_seconds
        return bool(self.ready) and (at is None or started is None or at >= started)

    @property
    def process(self) -> Process | None:
        """The process that runs, told from a later one of the same pid by its start."""
        return None if self.pid is None else (self.pid, self.started_at_seconds)


class Do(StrEnum):
    """What may be done."""

    DRAIN = "drain"
    FREE = "free"
    END = "end"
    KILL = "kill"


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing to do. `process` is the one to end; `by` what a drain is signed with."""

    do: Do
    process: Process | None = None
    by: str = ""


def is_same(one: Process | None, other: Process | None) -> bool:
    """Whether both are the same process; a start that is unknown is no difference."""
    if one is None or other is None or one[0] != other[0]:
        return False
    return one[1] is None or other[1] is None or abs(one[1] - other[1]) < 2.0
