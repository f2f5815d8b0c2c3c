"""A task with its `{{ }}` filled in, typed anew. Pure."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect

from fleet.control.desired.templates import Templates
from fleet.control.playbook.convert import plain_message
from fleet.control.playbook.tasks import KINDS, Action
from fleet.errors import PlaybookError

T = TypeVar("T")


def filled(action: Action, kind: str, *, templates: Templates, values: Mapping[str, object], place: str) -> Any:
    """`action` for one node. Raises PlaybookError for a name that is not there and a value of the wrong type."""
    shape: Any = type(action) if isinstance(action, msgspec.Struct) else KINDS[kind][0]
    return filled_as(shape, action, templates=templates, values=values, place=place, what=kind)


def filled_as(
    shape: type[T], value: object, *, templates: Templates, values: Mapping[str, object], place: str, what: str
) -> T:
    """`value` filled in, as a `shape`."""
    written = msgspec.to_builtins(value)
    if not _asks(written):
        return cast("T", value)
    plain = _fill(written, templates, values, place)
    try:
        return msgspec.convert(_as_text(plain, _info(cast("Any", shape))), shape, strict=True)
    except msgspec.ValidationError as error:
        raise PlaybookError(f"{what}: {plain_message(str(error), plain)}", place=place) from None


@functools.cache
def _info(shape: Any) -> inspect.Type:
    return inspect.type_info(shape)


def _asks(value: object) -> bool:
    """Whether there is anything to fill in, or to refuse."""
    match value:
        case str():
            return "{{" in value or "{%" in value or "{#" in value
        case dict():
            return any(_asks(item) for item in value.values())
        case list() | tuple():
            return any(_asks(item) for item in value)
        case _:
            return False


def _fill(value: object, templates: Templates, values: Mapping[str, object], place: str) -> object:
    match value:
        case str():
            return templates.scalar(value, values, place=place)
        case dict():
            return {key: _fill(item, templates, values, place) for key, item in value.items()}
        case list() | tuple():
            return [_fill(item, templates, values, place) for item in value]
        case _:
            return value


def _as_text(value: object, info: inspect.Type) -> object:
    """Numbers that stand where only text can stand, as text: `--port {{ vars.port }}` is a word of a command."""
    match info:
        case inspect.StrType() if isinstance(value, int | float):
            return str(value).lower() if isinstance(value, bool) else str(value)
        case inspect.ListType() | inspect.VarTupleType() if isinstance(value, list):
            return [_as_text(item, info.item_type) for item in value]
        case inspect.DictType() if isinstance(value, dict):
            return {key: _as_text(item, info.value_type) for key, item in value.items()}
        case inspect.StructType() if isinstance(value, dict):
            types = {field.encode_name: field.type for field in info.fields}
            return {key: _as_text(item, types[key]) if key in types else item for key, item in value.items()}
        case inspect.UnionType() if all(isinstance(kind, inspect.StrType) for kind in info.types):
            return _as_text(value, info.types[0])
        case inspect.Metadata():
            return _as_text(value, info.type)
        case _:
            return value
