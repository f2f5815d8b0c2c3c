"""Which rows a person wants to see: the words after `/` on the screen, and of `fleet status --filter`. Pure.

Words are joined by blanks and must all hold. `text` is looked for in everything that the row shows, without regard to
case; `key=value`, `key!=value`, `key>=value`, `key<=value` ask for one thing; a `!` in front turns a word around. What
cannot be understood is said and never hides a row: a typo must not make a sick node invisible.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fleet.control.watch.view import NodeRow, Reach
from fleet.vocabulary.names import Freshness, Health
from fleet.vocabulary.units import parse_bytes, parse_seconds

SEVERITIES = MappingProxyType({"ok": 0, "unknown": 1, "stale": 1, "warn": 2, "critical": 3, "offline": 3, "silent": 3})
"""The words of `state`, by how much a person should care. What has the same number is the same for `>=`."""

_WORD = re.compile(r"(?P<key>[a-z_]+)(?P<how>!=|>=|<=|=)(?P<value>.*)")
_HOW: Mapping[str, Callable[[float, float], bool]] = MappingProxyType({">=": operator.ge, "<=": operator.le})
_COMPARED: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {**_HOW, "=": operator.eq, "!=": operator.ne}
)


def state_word(row: NodeRow) -> str:
    """A row's state in one word: how far it can be trusted first, then how the machine is."""
    if row.reach is Reach.AGENT_SILENT:
        return "silent"
    if row.freshness in (Freshness.OFFLINE, Freshness.NEVER_SEEN):
        return "offline" if row.freshness is Freshness.OFFLINE else "unknown"
    if row.freshness is Freshness.STALE and row.health in (Health.OK, Health.UNKNOWN):
        return "stale"
    return row.health.value


def severity(row: NodeRow) -> int:
    """0 nobody need look, 3 somebody should now."""
    return SEVERITIES[state_word(row)]


_NUMBERS: Mapping[str, Callable[[NodeRow], float | None]] = MappingProxyType(
    {
        "headroom": lambda row: row.wired_headroom_bytes,
        "swap": lambda row: row.swap_used_bytes,
        "mem": lambda row: row.memory_total_bytes,
        "press": lambda row: row.pressure_level,
        "therm": lambda row: row.thermal_level,
        "age": lambda row: row.age_seconds,
    }
)
_BYTES = frozenset({"headroom", "swap", "mem"})
_TEXTS: Mapping[str, Callable[[NodeRow], tuple[str, ...]]] = MappingProxyType(
    {
        "node": lambda row: (row.node,),
        "tag": lambda row: row.groups,
        "model": lambda row: tuple(model.name for model in row.models),
        "intent": lambda row: (row.intent.value,),
        "fresh": lambda row: (row.freshness.value,),
        "chip": lambda row: (row.chip or "",),
        "os": lambda row: (row.os_version or "",),
        "problem": lambda row: tuple(one.code for one in row.concerns),
    }
)
KEYS = ("state", *_TEXTS, *_NUMBERS)
"""What can be asked for by name."""


@dataclass(frozen=True)
class Filter:
    """A filter that was understood as far as `problem` does not say otherwise."""

    text: str = ""
    problem: str = ""
    words: tuple[Callable[[NodeRow], bool], ...] = ()

    def lets(self, row: NodeRow) -> bool:
        """Whether the row is shown."""
        return all(word(row) for word in self.words)


def parse_filter(text: str) -> Filter:
    """The filter that `text` says (with or without a leading `/`). Total."""
    words: list[Callable[[NodeRow], bool]] = []
    problems: list[str] = []
    for said in text.removeprefix("/").split():
        turned = said.startswith("!") and len(said) > 1
        found = _word(said[1:] if turned else said)
        if isinstance(found, str):
            problems.append(found)
        else:
            words.append(_turned(found) if turned else found)
    return Filter(text=text, problem="; ".join(problems), words=tuple(words))


def _turned(word: Callable[[NodeRow], bool]) -> Callable[[NodeRow], bool]:
    return lambda row: not word(row)


def _word(said: str) -> Callable[[NodeRow], bool] | str:
    """What one word asks, or why it cannot be understood."""
    match = _WORD.fullmatch(said)
    if match is None:
        wanted = said.lower()
        return lambda row: wanted in _haystack(row)
    key, how, value = match["key"], match["how"], match["value"]
    if not value:
        return f"{said}: what should {key} be?"
    if key == "state":
        return _state(how, value.lower())
    if key in _TEXTS:
        return _text(key, how, value.lower())
    if key in _NUMBERS:
        return _number(key, how, value)
    return f"{key}: not one of {', '.join(KEYS)}"


def _state(how: str, value: str) -> Callable[[NodeRow], bool] | str:
    full = next((word for word in SEVERITIES if word.startswith(value)), None)
    if full is None:
        return f"state: not one of {', '.join(SEVERITIES)}"
    if how in _HOW:
        compare, bound = _HOW[how], SEVERITIES[full]
        return lambda row: compare(severity(row), bound)
    return lambda row: (state_word(row) == full) is (how == "=")


def _text(key: str, how: str, value: str) -> Callable[[NodeRow], bool] | str:
    if how in _HOW:
        return f"{key}{how}: {key} has no order; = and != are understood"
    read, exact = _TEXTS[key], key in ("tag", "intent", "fresh")
    return lambda row: any(value == one.lower() if exact else value in one.lower() for one in read(row)) is (how == "=")


def _number(key: str, how: str, value: str) -> Callable[[NodeRow], bool] | str:
    """Of a reading that nobody knows no comparison holds."""
    try:
        bound = float(parse_bytes(value)) if key in _BYTES else parse_seconds(value) if key == "age" else float(value)
    except (ValueError, OverflowError):
        return f"{key}: {value} is no {'size' if key in _BYTES else 'span' if key == 'age' else 'number'}"
    read, compare = _NUMBERS[key], _COMPARED[how]

    def holds(row: NodeRow) -> bool:
        known = read(row)
        return known is not None and compare(known, bound)

    return holds


def _haystack(row: NodeRow) -> str:
    parts = [row.node, *row.groups, state_word(row), row.intent.value, row.problem or "", row.chip or ""]
    parts += [model.name for model in row.models]
    return "\n".join(parts).lower()
