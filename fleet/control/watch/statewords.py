"""How a row's state is told: a shape, the same in ASCII, a word and a tone. Pure; CLI and TUI both say it so."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from fleet.control.watch.view import NodeRow, Reach
from fleet.vocabulary.names import Freshness, Health, Intent


class Tone(StrEnum):
    """What a colour would say. A theme gives it one; the shape and the word say it without."""

    PLAIN = "plain"
    DIM = "dim"
    OK = "ok"
    WARN = "warn"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
    INTENT = "intent"
    NEW = "new"


class Told(NamedTuple):
    """One state."""

    shape: str
    ascii_shape: str
    word: str
    tone: Tone

    def text(self, *, unicode: bool) -> str:
        """Shape and word."""
        return f"{self.shape if unicode else self.ascii_shape} {self.word}"


HEALTH = MappingProxyType(
    {
        Health.OK: Told("●", "+", "ok", Tone.OK),
        Health.WARN: Told("▲", "!", "warn", Tone.WARN),
        Health.CRITICAL: Told("■", "X", "CRIT", Tone.CRITICAL),
        Health.UNKNOWN: Told("?", "?", "unknown", Tone.UNKNOWN),
    }
)
AWAY = MappingProxyType(
    {
        Freshness.STALE: Told("◌", "~", "stale", Tone.WARN),
        Freshness.OFFLINE: Told("○", "o", "offline", Tone.CRITICAL),
        Freshness.NEVER_SEEN: Told("·", ".", "never", Tone.NEW),
    }
)
INTENT = MappingProxyType(
    {
        Intent.DRAINING: Told("◇", "v", "draining", Tone.INTENT),
        Intent.DRAINED: Told("◆", "V", "drained", Tone.INTENT),
    }
)
_NEW = Told("·", ".", "new", Tone.NEW)
_SILENT = Told("■", "X", "SILENT", Tone.CRITICAL)


def told(row: NodeRow) -> Told:
    """Freshness first; then, of a node that is live, what is wrong; then what is wanted of it.

    A silent agent is worse than stale.
    """
    if row.reach is Reach.NOT_ADOPTED and row.freshness is Freshness.NEVER_SEEN:
        return _NEW
    if row.reach is Reach.AGENT_SILENT:
        return _SILENT
    if row.freshness in AWAY:
        return AWAY[row.freshness]
    if row.intent in INTENT and row.health in (Health.OK, Health.UNKNOWN):
        return INTENT[row.intent]
    return HEALTH[row.health]
