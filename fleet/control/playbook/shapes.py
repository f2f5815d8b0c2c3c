"""The building blocks of a playbook's structs: scalar types, and rules over several fields. Pure.

A scalar may hold `{{ }}`; it gets its type when a node's values are filled in (desired state), by the functions here.
A rule over fields is said once, on the struct: the validator and the JSON Schema both read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, ClassVar, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleet.errors import PlaybookError
from fleet.vocabulary.units import parse_bytes, parse_seconds

T = TypeVar("T")

PLACEHOLDER = r"^\s*\{\{[\s\S]*\}\}\s*$"
SPAN = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$|^\s*\{\{[\s\S]*\}\}\s*$"
PLAIN_SPAN = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$"
PAUSE = r"^\s*manual\s*$|^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$"
SIZE = r"^\s*\d+(\.\d+)?\s*([kKmMgGtT]?([iI]?[bB])?)\s*$|^\s*\{\{[\s\S]*\}\}\s*$"
MODE = r"^0?[0-7]{3}$|^[0-7]{4}$|^\s*\{\{[\s\S]*\}\}\s*$"
SHARE = r"^(100|[1-9][0-9]?)%$"
SHA256 = r"^[0-9a-f]{64}$|\{\{"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$|\{\{"

IN_WORDS = {
    PLACEHOLDER: "a number, or one {{ }}",
    SPAN: "a span of time like 30s or 5m",
    PLAIN_SPAN: "a span of time like 30s or 5m",
    PAUSE: "a span of time like 30s or 5m, or manual",
    SIZE: "a size like 2GiB or 512MB",
    MODE: 'a file mode in quotes like "0644"',
    SHARE: "a number of nodes, or a share like 25%",
    SHA256: "the 64 hex digits of a SHA-256",
    NAME: "a name of letters, digits, dots and dashes",
}
"""What the patterns mean, for messages."""

Text = Annotated[str, Meta(min_length=1)]
Name = Annotated[str, Meta(pattern=NAME)]
Sha256 = Annotated[str, Meta(pattern=SHA256)]
Placeholder = Annotated[str, Meta(pattern=PLACEHOLDER)]
Count = Annotated[int, Meta(ge=0)] | Placeholder
Port = Annotated[int, Meta(ge=1, le=65535)] | Placeholder
Whole = int | Placeholder
Span = Annotated[float, Meta(ge=0)] | Annotated[str, Meta(pattern=SPAN)]
Size = Annotated[int, Meta(ge=0)] | Annotated[str, Meta(pattern=SIZE)]
Mode = Annotated[str, Meta(pattern=MODE)]
Scalar = str | int | float | bool


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A struct of the playbook. Of `one_of` exactly one field must be given, of `some_of` at least one.

    Of each pair in `together` the first is never given without the second, of each in `apart` never with it.
    """

    one_of: ClassVar[tuple[str, ...]] = ()
    some_of: ClassVar[tuple[str, ...]] = ()
    together: ClassVar[tuple[tuple[str, str], ...]] = ()
    apart: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __post_init__(self) -> None:
        found = [name for name in self.one_of if getattr(self, name) is not UNSET]
        if self.one_of and len(found) != 1:
            raise ValueError(f"expected exactly one of {_listed(self.one_of)}, found {_listed(found) or 'none'}")
        if self.some_of and all(getattr(self, name) is UNSET for name in self.some_of):
            raise ValueError(f"expected at least one of {_listed(self.some_of)}")
        for first, second in self.together:
            if getattr(self, first) is not UNSET and getattr(self, second) is UNSET:
                raise ValueError(f"`{first}` wants `{second}` beside it")
        for first, second in self.apart:
            if getattr(self, first) is not UNSET and getattr(self, second) is not UNSET:
                raise ValueError(f"`{first}` and `{second}` do not go together")


def given(value: T | UnsetType) -> T | None:
    """The value of a field, None when it was not given."""
    return None if isinstance(value, UnsetType) else value


def whole(value: object, *, place: str, what: str, low: int = 0, high: int | None = None) -> int:
    """A whole number, after `{{ }}` was filled in. Raises PlaybookError."""
    text = str(value).strip()
    if isinstance(value, bool) or not text.lstrip("-").isdigit():
        raise PlaybookError(f"{what}: expected a whole number, found {value!r}", place=place)
    number = int(text)
    if number < low or (high is not None and number > high):
        bound = f"{low} to {high}" if high is not None else f"{low} or more"
        raise PlaybookError(f"{what}: expected {bound}, found {number}", place=place)
    return number


def seconds(value: object, *, place: str, what: str) -> float:
    """A span of time in seconds. Raises PlaybookError."""
    return _parsed(parse_seconds, value, place=place, what=what)


def size_bytes(value: object, *, place: str, what: str) -> int:
    """A size in bytes. Raises PlaybookError."""
    return int(_parsed(parse_bytes, value, place=place, what=what))


def mode_bits(value: object, *, place: str, what: str = "mode") -> int:
    """The bits of a file mode. Raises PlaybookError."""
    text = str(value)
    if not isinstance(value, str) or not 3 <= len(text) <= 4 or set(text) - set("01234567"):
        raise PlaybookError(f"{what}: expected {IN_WORDS[MODE]}, found {value!r}", place=place)
    return int(text, 8)


def _parsed(parse: Callable[[str], float], value: object, *, place: str, what: str) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"expected a number with its unit, found {value!r}")
        return parse(value)  # type: ignore[arg-type]
    except ValueError as error:
        raise PlaybookError(f"{what}: {error}", place=place) from None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name.rstrip('_')}`" for name in names)
