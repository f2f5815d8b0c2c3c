"""How a row is told in shapes and words: every state has a shape, a word and a colour. Pure."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from fleet.control.watch.statewords import Tone, told
from fleet.control.watch.view import Concern, NodeRow, Reach, ServedModel
from fleet.vocabulary.macos.notifyutil import THERMAL_WORDS
from fleet.vocabulary.names import Freshness, Health
from fleet.vocabulary.units import seconds_text

STYLES = {
    Tone.PLAIN: "",
    Tone.DIM: "dim",
    Tone.OK: "green",
    Tone.WARN: "yellow",
    Tone.CRITICAL: "bold red",
    Tone.UNKNOWN: "cyan",
    Tone.INTENT: "blue",
    Tone.NEW: "magenta",
}


def is_live(row: NodeRow) -> bool:
    """Whether what the row shows is of just now."""
    return row.freshness is Freshness.LIVE


def state_text(row: NodeRow, *, unicode: bool) -> Text:
    """Shape, word and colour of a row's state."""
    state = told(row)
    return Text(state.text(unicode=unicode), style=f"not dim {STYLES[state.tone]}")


def badness(row: NodeRow) -> int:
    """What a person looks at first comes first."""
    if row.reach is not Reach.ANSWERED:
        return {Reach.AGENT_SILENT: 1, Reach.UNREACHABLE: 2}.get(row.reach, 6)
    return {Health.CRITICAL: 0, Health.WARN: 3, Health.UNKNOWN: 4}.get(row.health, 5)


def services_text(row: NodeRow) -> str:
    """How many of its services run."""
    return "-" if not row.services_total else f"{row.services_up}/{row.services_total}"


def pressure_word(level: int | None) -> str:
    """The memory pressure level in a word."""
    return {1: "normal", 2: "warning", 4: "critical"}.get(level or 0, "-")


def thermal_word(level: int | None) -> str:
    """The thermal pressure level in a word."""
    return THERMAL_WORDS[level] if level in range(len(THERMAL_WORDS)) and level is not None else "-"


def ready_word(model: ServedModel) -> str:
    """Whether the model is ready, in a word."""
    return {True: "ready", False: "not_ready", None: "unknown"}[model.ready]


def gone_text(concern: Concern, now: datetime) -> str:
    """That it is over and watched a little longer; "" while it lasts."""
    if concern.gone_since is None:
        return ""
    return f" (gone for {seconds_text(max(0.0, (now - concern.gone_since).total_seconds()))}, still watched)"
