"""What one attempt at a node brought: a sample, or silence. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.health.table import OFFLINE_AFTER_SECONDS, STALE_AFTER_SECONDS
from fleet.vocabulary.names import Freshness


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A snapshot, and when it was taken by the observer's clock (seconds since 1970)."""

    at_seconds: float
    snapshot: Snapshot


@dataclass(frozen=True, kw_only=True)
class Silence:
    """No snapshot came. `agent_only`: the node itself could be reached."""

    agent_only: bool = False
    problem: str = ""


def freshness_of(age_seconds: float | None, *, answered: bool) -> Freshness:
    """How much the last sample is worth. A node that did not answer just now is at best stale."""
    if age_seconds is None:
        return Freshness.NEVER_SEEN
    if age_seconds > OFFLINE_AFTER_SECONDS:
        return Freshness.OFFLINE
    if age_seconds > STALE_AFTER_SECONDS or not answered:
        return Freshness.STALE
    return Freshness.LIVE
