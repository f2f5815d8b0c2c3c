"""What does not fit a type, and where in the value: a mapping of structs is looked through part by part. Pure.

msgspec says what is wrong but not under which key of a mapping; a person needs both.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from fleet.control.inventory.nearest import did_you_mean
from fleet.control.inventory.wording import convert_problem, expected_of, kind_of

Path = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Misfit:
    """The first part that does not fit. `said` is for a person, `kind` is the type that was expected there."""

    path: Path
    said: str
    kind: Any
    value: object
    hint: str = ""


def misfit(value: object, kind: Any) -> Misfit | None:
    """Why `value` is not of the type `kind`; None where it is."""
    return next(_misfits(value, kind, ()), None)


def _misfits(value: object, kind: Any, path: Path) -> Iterator[Misfit]:
    if convert_problem(value, kind) is None:
        return
    inner = _container(kind, value)
    if isinstance(value, dict) and _is_struct(inner):
        yield from _of_struct(value, inner, path)
    elif isinstance(value, dict) and get_origin(inner) is dict:
        for key, one in value.items():
            yield from _misfits(key, get_args(inner)[0], (*path, key))
            yield from _misfits(one, get_args(inner)[1], (*path, key))
    elif isinstance(value, list) and get_origin(inner) is list and value:
        for number, one in enumerate(value):
            yield from _misfits(one, get_args(inner)[0], (*path, number))
    elif isinstance(value, list) and not value and get_origin(inner) is list:
        yield Misfit(path, "expected at least one, found an empty list", kind, value)
    else:
        yield Misfit(path, f"expected {expected_of(kind)}, found {kind_of(value)}", kind, value)


def _of_struct(value: dict[Any, Any], kind: type[msgspec.Struct], path: Path) -> Iterator[Misfit]:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for key, one in value.items():
        if key not in fields:
            known = f"known here: {', '.join(fields)}"
            yield Misfit((*path, key), "unknown key", kind, one, did_you_mean(str(key), fields) or known)
        else:
            yield from _misfits(one, fields[key].type, (*path, key))
    for name, field in fields.items():
        if field.required and name not in value:
            yield Misfit(path, f"`{name}` is missing", kind, value, f"add {name}: {expected_of(field.type)}")


def _container(kind: Any, value: object) -> Any:
    """The mapping or list that `kind` takes, without annotations; of a union the one that is like `value`."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _container(get_args(kind)[0], value)
    if origin in (Union, types.UnionType):
        for one in get_args(kind):
            inner = _container(one, value)
            like = get_origin(inner) is list if isinstance(value, list) else get_origin(inner) is dict
            if like or (isinstance(value, dict) and _is_struct(inner)):
                return inner
    return kind


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
