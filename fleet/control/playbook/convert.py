"""Plain data -> one struct, and a message that a person can act on when it does not fit. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fleet.control.inventory.finding import Finding
from fleet.control.inventory.nearest import did_you_mean
from fleet.control.inventory.yamlsource import KeyPath, Positioned, msgspec_path
from fleet.control.playbook.shapes import IN_WORDS

NOT_YET = "is not carried out by this release"


@dataclass
class Reader:
    """Reads parts of one positioned document and collects what is wrong. Lives for one reading."""

    document: Positioned
    findings: list[Finding] = field(default_factory=list)

    def error(self, path: KeyPath, message: str, *, hint: str = "", key: bool = False) -> None:
        """Note an error at the value of `path`, or at its key."""
        place = self.document.key_place(path) if key else self.document.place(path)
        self.findings.append(Finding(place, "error", message, hint))

    def mapping(self, value: object, path: KeyPath, *, what: str, known: Iterable[str] = ()) -> dict[str, Any] | None:
        """`value` when it is a mapping whose keys are all `known` (any, when none are told); else None, and noted."""
        if not isinstance(value, dict):
            self.error(path, f"{what}: expected a mapping, found {shown(value)}")
            return None
        names = tuple(known)
        for key in value:
            if names and key not in names:
                hint = did_you_mean(str(key), names) or f"known here: {', '.join(names)}"
                self.error((*path, key), f"{what}: unknown key `{key}`", hint=hint, key=True)
        return value

    def items(self, value: object, path: KeyPath, *, what: str) -> list[Any]:
        """`value` when it is a list; else nothing, and noted."""
        if isinstance(value, list):
            return value
        self.error(path, f"{what}: expected a list, found {shown(value)}")
        return []

    def word(self, value: object, path: KeyPath, *, what: str) -> str:
        """`value` when it is text; else nothing, and noted."""
        if isinstance(value, str) and value:
            return value
        self.error(path, f"{what}: expected text, found {shown(value)}")
        return ""

    def only_key(self, value: object, path: KeyPath, kinds: Iterable[str], *, what: str) -> str | None:
        """The one key of `kinds` that the mapping `value` has; else None, and noted."""
        names = tuple(kinds)
        if not isinstance(value, dict):
            self.error(path, f"{what}: expected a mapping with one of {', '.join(names)}, found {shown(value)}")
            return None
        found = [key for key in value if key in names]
        if len(found) == 1:
            return str(found[0])
        said = f"found {' and '.join(map(str, found))}" if found else "found none"
        strange = [str(key) for key in value if key not in names]
        hint = next((near for near in (did_you_mean(key, names) for key in strange) if near), "")
        self.error(path, f"{what}: expected exactly one of {', '.join(names)}; {said}", hint=hint)
        return None

    def struct(self, value: object, kind: Any, path: KeyPath, *, what: str) -> Any:
        """`value` as a `kind`; else None, and noted."""
        try:
            return msgspec.convert(value, kind, strict=True)
        except msgspec.ValidationError as error:
            self._refused(str(error), value, kind, path, what)
            return None

    def _refused(self, said: str, value: object, kind: Any, path: KeyPath, what: str) -> None:
        inner = msgspec_path(said)
        message = re.sub(r" - at `[^`]*`( in `[^`]*`)?$", "", said)
        unknown = re.fullmatch(r"Object contains unknown field `(.*)`", message)
        if unknown:
            names = field_names(kind) if not inner else ()
            hint = did_you_mean(unknown[1], names) or (f"known here: {', '.join(names)}" if names else "")
            self.error((*path, *inner, unknown[1]), f"{what}: unknown key `{unknown[1]}`", hint=hint, key=True)
            return
        at = ".".join(str(step) for step in inner)
        subject = f"{what}.{at}" if at else what
        missing = re.fullmatch(r"Object missing required field `(.*)`", message)
        if missing:
            self.error((*path, *inner), f"{subject}: `{missing[1]}` is missing")
            return
        found = _at(value, inner)
        said = _plainer(message, self.document.raw((*path, *inner)) if isinstance(found, int | float) else shown(found))
        hint = "quotes make it text" if "expected text, found" in said and isinstance(found, int | float) else ""
        self.error((*path, *inner), f"{subject}: {said}", hint=hint)


def field_names(kind: Any) -> tuple[str, ...]:
    """The keys of a struct, as the file spells them."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return tuple(entry.encode_name for entry in msgspec.structs.fields(kind))
    return ()


def plain_message(said: str, value: object) -> str:
    """A msgspec message about `value` in words, with the key it is about."""
    inner = msgspec_path(said)
    at = ".".join(str(step) for step in inner)
    message = re.sub(r" - at `[^`]*`( in `[^`]*`)?$", "", said)
    return (f"{at}: " if at else "") + _plainer(message, shown(_at(value, inner)))


def shown(value: object) -> str:
    """What was found, short."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case bool():
            return "true" if value else "false"
        case _:
            text = repr(value)
            return text if len(text) <= 60 else text[:59] + "…"


_TYPES: dict[str, str] = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


def _plainer(message: str, found: str) -> str:
    pattern = re.fullmatch(r"Expected `str` matching regex '(.*)'", message)
    if pattern:
        words = IN_WORDS.get(pattern[1].replace("\\\\", "\\"), f"text like {pattern[1]}")
        return f"expected {words}, found {found}"
    wrong = re.fullmatch(r"Expected `([a-z |]+)`, got `.*`", message)
    if wrong:
        words = " or ".join(dict.fromkeys(_TYPES.get(word, word) for word in wrong[1].split(" | ")))
        return f"expected {words}, found {found}"
    if message.startswith("Expected "):
        return f"expected {message.removeprefix('Expected ').replace('`', '')}, found {found}"
    if message.startswith("Invalid enum value"):
        return f"{found} is not one of the known values"
    return message


def _at(value: object, path: KeyPath) -> object:
    for step in path:
        try:
            value = value[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return value
    return value
