"""What the agent remembers of its care for one sidecar. Frozen; JSON by msgspec: it outlives the agent and the machine.

Times are Unix seconds; spans grow by looks, so that neither a step of the clock nor a sleep makes anything ripe.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fleet.vocabulary.contracts.snapshot import CareReading


class Phase(StrEnum):
    """Where care stands. RESTARTING lasts from the first SIGTERM until the new process is ready and serves."""

    WATCHING = "watching"
    DRAINING = "draining"
    RESTARTING = "restarting"
    QUARANTINED = "quarantined"


class CareState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of one sidecar. `planned`: what goes on is a refresh, and no illness.

    `ended` is the process that is to go, `proved` the one that was ready once, `seen` the one that ran last: a pid and
    its start. `bad_seconds` and `heavy_seconds`: for how long it has generated nothing, and been too large; a process
    that was never ready is loading, and is bad only while its size (`grown_bytes`) does not grow.
    `restarts` are those of the last hour. `answered` is when it last worked; `suspect` a boot that it may have
    caused; `strikes` the boots after a panic while it ran. `held`: our drain was seen in place.
    """

    phase: Phase = Phase.WATCHING
    reason: str = ""
    since_seconds: float = 0.0
    planned: bool = False
    looked_at_seconds: float = 0.0
    ended: tuple[int, float | None] | None = None
    proved: tuple[int, float | None] | None = None
    seen: tuple[int, float | None] | None = None
    bad_seconds: float = 0.0
    heavy_seconds: float = 0.0
    grown_bytes: int = 0
    restarts: tuple[float, ...] = ()
    restarts_total: int = 0
    restarted_at_seconds: float | None = None
    restarted_for: str = ""
    refresh_from_seconds: float = 0.0
    answered_at_seconds: float | None = None
    boot_seconds: float | None = None
    suspect_boot_seconds: float | None = None
    strikes: tuple[float, ...] = ()
    held: bool = False


def reading_of(state: CareState) -> CareReading:
    """What the snapshot says of it."""
    going = state.phase in (Phase.DRAINING, Phase.RESTARTING)
    return CareReading(
        state="refreshing" if state.planned and going else state.phase.value,
        reason=state.reason,
        since_seconds=state.since_seconds or None,
        restarts_total=state.restarts_total,
        restarted_at_seconds=state.restarted_at_seconds,
        restarted_for=state.restarted_for,
    )
