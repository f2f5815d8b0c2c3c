"""The event stream of a run on the laptop: one stream, rendered by plain lines, JSON lines, progress view and TUI."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Phase(StrEnum):
    """Where a node is in a run."""

    CONNECT = "connect"
    CHECK = "check"
    SEND = "send"
    STAGE = "stage"
    DRAIN = "drain"
    APPLY = "apply"
    REBOOT = "reboot"
    GATE = "gate"
    REVERT = "revert"
    DONE = "done"


class Outcome(StrEnum):
    """What a run did to a node."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    REVERTED = "reverted"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    SKIPPED = "skipped"


class RunEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something happened. `status`: start, ok, failed, progress, note. `at` is ISO 8601 in UTC."""

    run_id: str
    seq: int
    at: str
    phase: Phase
    status: str
    node: str = ""
    text: str = ""
    detail: str = ""
    hint: str = ""
    bytes_done: int = 0
    bytes_total: int = 0
    outcome: Outcome | None = None
    schema: int = 1
