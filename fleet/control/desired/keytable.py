"""The keys that launchd reads, with their types: `launchd_keys.yaml` as values, and the check of one value. Pure.

launchd ignores an unknown key or a value of the wrong type without a word (FACTS section 1.6): both are errors here.
"""

from __future__ import annotations

import datetime as dt
import difflib
import functools
import importlib.resources
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import yaml

Problem = tuple[Literal["error", "warning"], str, str, str]
"""Level, path of the key, message, hint."""

_NAMED_BY_THE_JOB = frozenset({"MachServices", "Sockets"})
"""Their members have names of the job's own; the known subkeys are one level below."""

_NOUNS = {"strings": "string", "arrays": "array", "dicts": "dict", "integers": "integer", "booleans": "boolean"}


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key. `types` are alternatives: `string`, `integer`, `array of string`, `dict of dict/boolean`, ..."""

    name: str
    types: tuple[str, ...]
    status: str
    meaning: str
    values: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    subkeys: Mapping[str, Key] = field(default_factory=dict)


@functools.cache
def launchd_keys() -> Mapping[str, Key]:
    """Every key of launchd.plist by its name, from the package's table."""
    text = importlib.resources.files("fleet.control.desired").joinpath("launchd_keys.yaml").read_text(encoding="utf-8")
    return MappingProxyType({name: _key(name, row) for name, row in yaml.safe_load(text).items()})


def check_key(name: str, value: object, known: Mapping[str, Key], path: str = "") -> Iterator[Problem]:
    """What is wrong with one key and its value; nothing when launchd would take it."""
    where = f"{path}.{name}" if path else name
    key = known.get(name)
    if key is None:
        near = difflib.get_close_matches(name, known, n=1) or [k for k in known if k.lower() == name.lower()]
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known)[:8])}, ..."
        yield "error", where, "launchd knows no such key and would ignore it", hint
        return
    if key.status == "removed":
        yield "error", where, "launchd does not honour this key any more", key.meaning
    elif key.status in ("discouraged", "deprecated"):
        yield "warning", where, f"this key is {key.status}", key.meaning
    if not any(_fits(kind, value) for kind in key.types):
        expected = " or ".join(key.types)
        yield "error", where, f"expected {expected}, found {describe(value)}", "launchd would ignore it"
        return
    yield from _check_range(key, value, where)
    yield from _check_subkeys(key, value, where)


def describe(value: object) -> str:
    """The plist type of `value`, and a short value."""
    match value:
        case bool():
            return f"boolean {str(value).lower()}"
        case int():
            return f"integer {value}"
        case str():
            return f"string {value!r}" if len(value) <= 60 else "a long string"
        case list():
            return f"array of {len(value)}"
        case dict():
            return f"dict of {len(value)}"
        case float():
            return f"real {value}"
        case bytes():
            return "data"
        case dt.datetime():
            return "date"
        case _:
            return type(value).__name__


def _check_range(key: Key, value: object, where: str) -> Iterator[Problem]:
    if key.values:
        for word in value if isinstance(value, list) else [value]:
            if str(word) not in key.values:
                yield "error", where, f"{word!r} is none of {', '.join(key.values)}", ""
    if key.low is not None and key.high is not None and isinstance(value, int) and not key.low <= value <= key.high:
        yield "error", where, f"{value} is outside {key.low} to {key.high}", ""


def _check_subkeys(key: Key, value: object, where: str) -> Iterator[Problem]:
    if not key.subkeys:
        return
    holders: list[tuple[str, object]] = [(where, value)]
    if key.name in _NAMED_BY_THE_JOB and isinstance(value, dict):
        holders = [(f"{where}.{name}", member) for name, member in value.items()]
    for path, holder in holders:
        members = holder if isinstance(holder, list) else [holder]
        for index, member in enumerate(members):
            if isinstance(member, dict):
                inside = f"{path}[{index}]" if isinstance(holder, list) else path
                for name, sub in member.items():
                    yield from check_key(str(name), sub, key.subkeys, inside)


def _fits(kind: str, value: object) -> bool:
    match kind.split(" of ", 1):
        case ["any"]:
            return True
        case ["string"]:
            return isinstance(value, str)
        case ["boolean"]:
            return isinstance(value, bool)
        case ["integer"]:
            return isinstance(value, int) and not isinstance(value, bool)
        case ["dict"]:
            return isinstance(value, dict)
        case ["array"]:
            return isinstance(value, list)
        case ["array", member]:
            return isinstance(value, list) and all(_fits(member, item) for item in value)
        case ["dict", member]:
            return isinstance(value, dict) and all(_fits_any(member, item) for item in value.values())
    raise ValueError(f"the key table names a type that is not known: {kind}")


def _fits_any(kinds: str, value: object) -> bool:
    return any(_fits(kind, value) for kind in kinds.split("/"))


def _key(name: str, row: Mapping[str, Any]) -> Key:
    values, low, high = row.get("values"), None, None
    if isinstance(values, str):
        low, high = _range(values)
        values = ()
    return Key(
        name=name,
        types=_types(row["type"], name),
        status=row.get("status", "current"),
        meaning=row.get("meaning", ""),
        values=tuple(values or ()),
        low=low,
        high=high,
        subkeys=_subkeys(name, row),
    )


def _subkeys(name: str, row: Mapping[str, Any]) -> Mapping[str, Key]:
    subkeys = row.get("subkeys") or {}
    if isinstance(subkeys, list):  # names only: limits are integers; a socket's keys have types of their own
        kind = "integer" if row["type"] == "dict of integers" else "any"
        return {sub: Key(name=sub, types=(kind,), status="current", meaning="") for sub in subkeys}
    found = {}
    for sub, what in subkeys.items():
        if isinstance(what, Mapping):
            found[sub] = _key(sub, what)
        elif re.fullmatch(r"-?\d+-\d+", str(what)):
            low, high = _range(str(what).replace("-", "..", 1))
            found[sub] = Key(
                name=sub, types=("integer",), status="current", meaning=f"{name}, {what}", low=low, high=high
            )
        else:
            found[sub] = Key(name=sub, types=(str(what),), status="current", meaning="")
    return found


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("..")
    return int(low), int(high)


def _types(text: str, name: str) -> tuple[str, ...]:
    """`integer seconds` -> integer; `dict of arrays of string` -> dict of array of string; ` or ` separates."""
    if text == "dict of dict or array":  # Sockets: a dict whose members are dicts or arrays of dicts
        return ("dict of dict/array of dict",)
    if name == "MachServices":
        return ("dict of boolean/dict",)
    words = [_NOUNS.get(word, word) for word in text.replace(" seconds", "").split()]
    return tuple(" ".join(words).split(" or "))
