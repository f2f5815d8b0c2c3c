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
from typing import Any, TypeVar

T = TypeVar("T")
_EXACT = 2**53


class ContractError(ValueError):
    """JSON that is not the struct it should be. The message names the path of the field."""


def plain(value: object) -> Any:
    """`value` as dicts, lists and scalars."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        out: dict[str, Any] = {}
        kind = getattr(type(value), "kind", None)
        if isinstance(kind, str):
            out["kind"] = kind
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            if item is not None:
                out[field.name] = plain(item)
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
    return typing.cast("T", _build(data, kind, path))


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _build(data: object, kind: Any, path: str) -> object:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _build_union(data, typing.get_args(kind), path)
    if origin in (tuple, list):
        if not isinstance(data, list):
            raise ContractError(f"{path}: expected a list, found {type(data).__name__}")
        args = typing.get_args(kind)
        if origin is tuple and args[-1] is not Ellipsis:
            if len(args) != len(data):
                raise ContractError(f"{path}: expected {len(args)} items, found {len(data)}")
            return tuple(
                _build(item, arg, f"{path}[{i}]") for i, (item, arg) in enumerate(zip(data, args, strict=True))
            )
        items = [_build(item, args[0], f"{path}[{i}]") for i, item in enumerate(data)]
        return tuple(items) if origin is tuple else items
    if origin is dict:
        if not isinstance(data, dict):
            raise ContractError(f"{path}: expected an object, found {type(data).__name__}")
        return {str(key): _build(item, typing.get_args(kind)[1], f"{path}.{key}") for key, item in data.items()}
    if kind is Any or kind is object:
        return data
    if isinstance(kind, typing.NewType):
        return _build(data, kind.__supertype__, path)
    if dataclasses.is_dataclass(kind):
        return _build_struct(data, typing.cast("type", kind), path)
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise ContractError(f"{path}: expected {kind.__name__}, found {type(data).__name__}")
    return data


def _build_union(data: object, kinds: tuple[Any, ...], path: str) -> object:
    if data is None and type(None) in kinds:
        return None
    structs = {kind.kind: kind for kind in kinds if dataclasses.is_dataclass(kind) and hasattr(kind, "kind")}
    if isinstance(data, dict) and structs:
        kind = structs.get(data.get("kind"))
        if kind is None:
            raise ContractError(
                f"{path}: unknown kind {data.get('kind')!r}, expected one of {', '.join(sorted(structs))}"
            )
        return _build(data, kind, path)
    problems: list[str] = []
    for kind in kinds:
        if kind is type(None):
            continue
        try:
            return _build(data, kind, path)
        except ContractError as error:
            problems.append(str(error))
    raise ContractError(problems[0] if problems else f"{path}: expected null")


def _build_struct(data: object, kind: type, path: str) -> object:
    if not isinstance(data, dict):
        raise ContractError(f"{path}: expected an object, found {type(data).__name__}")
    hints = _hints(kind)
    values: dict[str, object] = {}
    for field in dataclasses.fields(kind):
        if field.name in data:
            values[field.name] = _build(data[field.name], hints[field.name], f"{path}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            if type(None) in typing.get_args(hints[field.name]):
                values[field.name] = None
            else:
                raise ContractError(f"{path}.{field.name}: missing")
    return kind(**values)
