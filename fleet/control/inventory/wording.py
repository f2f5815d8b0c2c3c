"""How messages name what was found and what was expected. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from fleet.control.inventory.serving import SPAN
from fleet.control.inventory.watching import SIZE

IN_WORDS = {SPAN: "a span of time like 90s or 5m", SIZE: "a size like 256MiB or 1GiB"}
"""What patterns mean, for messages."""


def kind_of(value: object) -> str:
    """What a person calls a value that was found: `the text 'x'`, `a list`, `nothing`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value if len(value) <= 40 else value[:39] + '…'!r}"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"the {type(value).__name__} {value}"


def expected_of(kind: Any) -> str:
    """What a person calls the values of a type: `a whole number from 1 to 65535`, `true or false`."""
    return _expected(inspect.type_info(kind))


def _expected(info: inspect.Type) -> str:
    match info:
        case inspect.Metadata(type=inner):
            return _expected(inner)
        case inspect.UnionType(types=types):
            words = [_expected(one) for one in types if not isinstance(one, inspect.NoneType)]
            plain = next((said for said in IN_WORDS.values() if said in words), None)
            return plain or " or ".join(words)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high) | inspect.FloatType(ge=low, le=high):
            kind = "a whole number" if isinstance(info, inspect.IntType) else "a number"
            return f"{kind} from {low} to {high}" if low is not None and high is not None else kind
        case inspect.StrType(pattern=pattern):
            return IN_WORDS.get(pattern or "", f"text like {pattern}" if pattern else "text")
        case inspect.LiteralType(values=values):
            return " or ".join(f"`{value}`" for value in values)
        case inspect.EnumType(cls=words):
            return " or ".join(f"`{word.value}`" for word in words)
        case inspect.StructType(fields=fields):
            return f"a mapping ({', '.join(field.name for field in fields)})"
        case inspect.DictType(value_type=inner):
            return f"a mapping of names to {_expected(inner)}"
        case inspect.ListType(item_type=inner) | inspect.VarTupleType(item_type=inner):
            return f"a list of {_expected(inner)}"
        case _:
            return "another kind of value"


def same_value(one: object, other: object) -> bool:
    """Whether two values of YAML are the same, and of the same type (1 is not true, nor 1.0)."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_value(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    return one == other


def convert_problem(value: object, kind: Any) -> str | None:
    """Why `value` is not of the type `kind`, as msgspec says it; None where it is."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as problem:
        return str(problem)
    return None
