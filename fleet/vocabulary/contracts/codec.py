"""Dataclasses to JSON and back, for the contracts that sync shares. Standard library only; travels with sync.

A field's JSON name is its Python name; an unset optional field is left out; a dataclass that is one of a union
carries its `kind`. Decoding ignores fields that it does not know (the other side may be one version ahead)
and refuses wrong types.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_EXACT = 2**53
_AS_THEY_ARE = frozenset({str, int, bool})


class ContractError(ValueError):
    """JSON that is not the struct it should be. The message names the path of the field."""


def plain(value: object) -> Any:
    """`value` as dicts, lists and scalars."""
    of: Any = type(value)
    if value is None or of in _AS_THEY_ARE:
        return value
    shape = _shape(of)
    if shape is not None:
        kind, names = shape
        out: dict[str, Any] = {} if kind is None else {"kind": kind}
        for name in names:
            item = getattr(value, name)
            if item is not None:
                out[name] = plain(item)
        return out
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)  # 60 and 60.0 are one value, and have one text: a digest must not tell them apart
    return value


def canonical(value: object) -> bytes:
    """The one JSON text of `value`: keys sorted, no blanks, UTF-8, no NaN."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(value: object) -> str:
    """64 hex digits: the SHA-256 of the canonical text."""
    return hashlib.sha256(canonical(value)).hexdigest()


def decode(text: bytes | str, kind: type[T]) -> T:
    """The struct that `text` holds. Raises ContractError."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ContractError(f"not JSON: {error}") from error
    return build(data, kind)


def build(data: object, kind: type[T], path: str = "$") -> T:
    """The struct that plain `data` holds. Raises ContractError."""
    try:
        return typing.cast("T", _builder(typing.cast("Any", kind))(data))
    except _Misfit as misfit:
        raise ContractError(f"{path}{''.join(reversed(misfit.place))}: {misfit.what}") from None


_Builder = Callable[[object], object]


class _Misfit(Exception):
    """Something is not what it should be. `place` is where, the innermost name first."""

    def __init__(self, what: str, *place: str) -> None:
        super().__init__(what)
        self.what = what
        self.place = list(place)


@functools.cache
def _shape(kind: Any) -> tuple[str | None, tuple[str, ...]] | None:
    """The `kind` that a struct carries, and its fields; None for what is no struct."""
    if not dataclasses.is_dataclass(kind):
        return None
    named = getattr(kind, "kind", None)
    return (named if isinstance(named, str) else None), tuple(field.name for field in dataclasses.fields(kind))


@functools.cache
def _builder(kind: Any) -> _Builder:
    """What makes a `kind` of plain data, or raises _Misfit. Looked up once: a type is asked what it is slowly."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _union_of(args)
    if origin is tuple and args[-1] is not Ellipsis:
        return _row_of(args)
    if origin in (tuple, list):
        return _list_of(args[0], origin)
    if origin is dict:
        return _dict_of(args[1])
    if kind is Any or kind is object:
        return lambda data: data
    if isinstance(kind, typing.NewType):
        return _builder(kind.__supertype__)
    if dataclasses.is_dataclass(kind):
        return _struct_of(kind)
    return _scalar_of(kind)


def _scalar_of(kind: type) -> _Builder:
    def made(data: object) -> object:
        if type(data) is kind:
            return data
        if kind is float and isinstance(data, int) and not isinstance(data, bool):
            return float(data)
        if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
            raise _Misfit(f"expected {kind.__name__}, found {type(data).__name__}")
        return data

    return made


def _list_of(kind: Any, origin: type) -> _Builder:
    one = _builder(kind)

    def made(data: object) -> object:
        if not isinstance(data, list):
            raise _Misfit(f"expected a list, found {type(data).__name__}")
        items: list[object] = []
        try:
            for item in data:
                items.append(one(item))  # noqa: PERF401 (how many there are says which one is wrong)
        except _Misfit as misfit:
            misfit.place.append(f"[{len(items)}]")
            raise
        return tuple(items) if origin is tuple else items

    return made


def _row_of(kinds: tuple[Any, ...]) -> _Builder:
    each = [_builder(kind) for kind in kinds]

    def made(data: object) -> object:
        if not isinstance(data, list):
            raise _Misfit(f"expected a list, found {type(data).__name__}")
        if len(each) != len(data):
            raise _Misfit(f"expected {len(each)} items, found {len(data)}")
        items: list[object] = []
        try:
            for one, item in zip(each, data, strict=True):
                items.append(one(item))
        except _Misfit as misfit:
            misfit.place.append(f"[{len(items)}]")
            raise
        return tuple(items)

    return made


def _dict_of(kind: Any) -> _Builder:
    one = _builder(kind)

    def made(data: object) -> object:
        if not isinstance(data, dict):
            raise _Misfit(f"expected an object, found {type(data).__name__}")
        found: dict[str, object] = {}
        for key, item in data.items():
            try:
                found[str(key)] = one(item)
            except _Misfit as misfit:
                misfit.place.append(f".{key}")
                raise
        return found

    return made


def _union_of(kinds: tuple[Any, ...]) -> _Builder:
    structs = {kind.kind: kind for kind in kinds if dataclasses.is_dataclass(kind) and hasattr(kind, "kind")}
    each = [_builder(kind) for kind in kinds if kind is not type(None)]
    maybe_none = type(None) in kinds

    def made(data: object) -> object:
        if data is None and maybe_none:
            return None
        if structs and isinstance(data, dict):
            kind: Any = structs.get(data.get("kind"))
            if kind is None:
                known = ", ".join(sorted(structs))
                raise _Misfit(f"unknown kind {data.get('kind')!r}, expected one of {known}")
            return _builder(kind)(data)
        first: _Misfit | None = None
        for one in each:
            try:
                return one(data)
            except _Misfit as misfit:
                first = first or misfit
        raise first or _Misfit("expected null")

    return made


def _struct_of(kind: Any) -> _Builder:
    def made(data: object) -> object:
        if not isinstance(data, dict):
            raise _Misfit(f"expected an object, found {type(data).__name__}")
        values: dict[str, object] = {}
        for name, one, needed, maybe_none in _fields(kind):  # not before: a struct may hold its own kind
            if name in data:
                try:
                    values[name] = one(data[name])
                except _Misfit as misfit:
                    misfit.place.append(f".{name}")
                    raise
            elif needed:
                if not maybe_none:
                    raise _Misfit("missing", f".{name}")
                values[name] = None
        return kind(**values)

    return made


@functools.cache
def _fields(kind: Any) -> tuple[tuple[str, _Builder, bool, bool], ...]:
    """Of every field its name, what makes it, whether it has no default, and whether it may be None."""
    hints = typing.get_type_hints(kind)
    return tuple(
        (
            field.name,
            _builder(hints[field.name]),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
            type(None) in typing.get_args(hints[field.name]),
        )
        for field in dataclasses.fields(kind)
    )
