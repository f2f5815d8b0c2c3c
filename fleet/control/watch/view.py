"""FleetView: what CLI and TUI both show. One row per node of the inventory, also for one never seen. Frozen, pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from fleet.vocabulary.names import Freshness, Health, Intent, NodeName


class Reach(StrEnum):
    """How far the last attempt came."""

    ANSWERED = "answered"
    AGENT_SILENT = "agent_silent"
    """SSH works, the agent gave no snapshot."""
    UNREACHABLE = "unreachable"
    NOT_ADOPTED = "not_adopted"
    """Nothing was tried: the node's key is not pinned yet."""


class Concern(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person should know. `code` is stable, `text` says what, `hint` the command that helps.

    `next` is what happens when nobody does anything. `gone_since`: it is over, and watched a little longer.
    """

    code: str
    health: Health
    text: str
    hint: str = ""
    subject: str = ""
    since: datetime | None = None
    next: str = ""
    gone_since: datetime | None = None


class ServedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model behind a sidecar. `ready` None = not proved either way yet."""

    name: str
    sidecar: str
    ready: bool | None = None


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One node. Readings are of the last sample seen, `age_seconds` old; unknown is None.

    `health` is the machine's as that sample shows it, `freshness` says how much to trust it, `problem` is the worst
    concern or why the node could not be reached, in one line. `via` is the front that said so, "" = the node itself.
    `tokens_per_second` and `in_flight` are of all its sidecars, `pace_ratio` (pace by baseline) and
    `first_token_seconds` those of the worst of them. `sampled_at_seconds` and
    `boot_time_seconds` are by the node's own clock.
    """

    node: NodeName
    groups: tuple[str, ...] = ()
    freshness: Freshness = Freshness.NEVER_SEEN
    health: Health = Health.UNKNOWN
    intent: Intent = Intent.SERVING
    reach: Reach = Reach.UNREACHABLE
    via: str = ""
    age_seconds: float | None = None
    problem: str | None = None
    hint: str | None = None
    concerns: tuple[Concern, ...] = ()
    services_up: int | None = None
    services_total: int | None = None
    models: tuple[ServedModel, ...] = ()
    pressure_level: int | None = None
    thermal_level: int | None = None
    tokens_per_second: float | None = None
    pace_ratio: float | None = None
    first_token_seconds: float | None = None
    in_flight: int | None = None
    wired_headroom_bytes: int | None = None
    wired_limit_bytes: int | None = None
    memory_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    swapout_bytes_per_second: float | None = None
    boot_time_seconds: float | None = None
    sampled_at_seconds: float | None = None
    os_version: str | None = None
    chip: str | None = None


class FleetView(msgspec.Struct, frozen=True, kw_only=True):
    """All rows, in inventory order. `at` is when they were put together (UTC).

    `laptop_problem`: this laptop itself is offline, so that no row says anything about its node's reach.
    """

    at: datetime
    rows: tuple[NodeRow, ...]
    laptop_problem: str = ""
    schema: int = 1

    @property
    def exit_code(self) -> int:
        """DESIGN section 6: 0 all well, 1 something critical, 3 some nodes not reached, 4 none reached."""
        missed = [row for row in self.rows if row.reach in (Reach.UNREACHABLE, Reach.NOT_ADOPTED)]
        if missed:
            return 4 if len(missed) == len(self.rows) else 3
        return 1 if any(row.health is Health.CRITICAL for row in self.rows) else 0
