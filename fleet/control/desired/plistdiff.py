"""Two plists compared by key, two texts compared by line: what a plan shows. Pure and total."""

from __future__ import annotations

import difflib
import json
import plistlib
from collections.abc import Iterator
from dataclasses import dataclass
from xml.parsers.expat import ExpatError


@dataclass(frozen=True, kw_only=True)
class KeyChange:
    """One key of a plist that differs. `path` is `ProgramArguments[3]` or `EnvironmentVariables.LANG`.

    `old` and `new` are values as text; None means that the key is not there.
    """

    path: str
    old: str | None
    new: str | None

    @property
    def text(self) -> str:
        """One line for a person: `ThrottleInterval: 10 -> 30`."""
        if self.old is None:
            return f"{self.path}: + {self.new}"
        if self.new is None:
            return f"{self.path}: - {self.old}"
        return f"{self.path}: {self.old} -> {self.new}"


def plist_diff(old_text: str, new_text: str) -> tuple[KeyChange, ...]:
    """The keys in which two plists differ, in the order of the new one, then what is gone.

    A text that is no plist is compared as a whole, under the path `(plist)`.
    """
    old, new = _parsed(old_text), _parsed(new_text)
    if old is None or new is None:
        if old_text == new_text:
            return ()
        return (KeyChange(path="(plist)", old=_whole(old, old_text), new=_whole(new, new_text)),)
    return tuple(_changes("", old, new))


def text_diff(old: str, new: str, *, context: int = 2) -> tuple[str, ...]:
    """A unified diff without its file headers. Empty when the texts are equal."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=context)
    return tuple(lines)[2:]


def _parsed(text: str) -> dict[str, object] | None:
    try:
        value = plistlib.loads(text.encode())
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError, ExpatError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _whole(parsed: dict[str, object] | None, text: str) -> str:
    return f"{len(text)} characters" if parsed is not None else f"{len(text)} characters that are no plist"


def _changes(path: str, old: object, new: object) -> Iterator[KeyChange]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(key for key in old if key not in new)]:
            yield from _member(f"{path}.{key}" if path else str(key), old, new, key)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _list_changes(path, old, new)
    elif type(old) is not type(new) or old != new:
        yield KeyChange(path=path, old=_text(old), new=_text(new))


def _member(path: str, old: dict[str, object], new: dict[str, object], key: str) -> Iterator[KeyChange]:
    if key in old and key in new:
        yield from _changes(path, old[key], new[key])
    elif isinstance(value := new.get(key, old.get(key)), dict) and value:
        # By its own keys: a whole table on one line is hard to read, and one of its keys may be a secret's.
        yield from _changes(path, *((value, {}) if key in old else ({}, value)))
    elif key in new:
        yield KeyChange(path=path, old=None, new=_text(value))
    else:
        yield KeyChange(path=path, old=_text(value), new=None)


def _list_changes(path: str, old: list[object], new: list[object]) -> Iterator[KeyChange]:
    if len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _changes(f"{path}[{index}]", before, after)
        return
    # Words came or went: name those, by their place in the list that holds them.
    matcher = difflib.SequenceMatcher(a=[_text(x) for x in old], b=[_text(x) for x in new], autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            continue
        gone, come = old[i1:i2], new[j1:j2]
        shared = min(len(gone), len(come))
        for offset in range(shared):
            yield from _changes(f"{path}[{j1 + offset}]", gone[offset], come[offset])
        for offset, value in enumerate(gone[shared:], shared):
            yield KeyChange(path=f"{path}[{i1 + offset}]", old=_text(value), new=None)
        for offset, value in enumerate(come[shared:], shared):
            yield KeyChange(path=f"{path}[{j1 + offset}]", old=None, new=_text(value))


def _text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case dict() | list():
            return json.dumps(value, ensure_ascii=False, default=str)
        case _:
            return str(value)
