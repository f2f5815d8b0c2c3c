"""What `import dataclasses` means within the sync zipapp: as much of the standard one as sync uses, at no cost.

The standard module writes and compiles up to six functions for every class, and loads `inspect` for that: for the
hundred classes of sync it was half of a start, which a deploy pays on every node. Here the functions are there once and
look at a table of fields. It means the same (a test holds the two against each other); what it lacks is refused.
"""

from __future__ import annotations

from typing import Any

MISSING: Any = object()


class FrozenInstanceError(AttributeError):
    """A field of a frozen class was to be changed."""


class Field:
    """One field of a class."""

    __slots__ = ("default", "default_factory", "init", "kw_only", "name", "repr", "type")

    def __init__(self, default: Any, default_factory: Any, *, init: bool, repr: bool) -> None:  # noqa: A002 (its name)
        self.name = ""
        self.type: Any = None
        self.default = default
        self.default_factory = default_factory
        self.init = init
        self.repr = repr
        self.kw_only = False


def field(*, default: Any = MISSING, default_factory: Any = MISSING, init: bool = True, repr: bool = True) -> Any:  # noqa: A002 (its name)
    """A field that is more than a name with a default."""
    return Field(default, default_factory, init=init, repr=repr)


def dataclass(cls: Any = None, /, *, frozen: bool = False, kw_only: bool = False, slots: bool = False) -> Any:
    """The class with what its annotations ask for. `slots` saves memory elsewhere, and nothing here."""
    del slots
    return _made(cls, frozen=frozen, kw_only=kw_only) if cls else lambda one: _made(one, frozen=frozen, kw_only=kw_only)


def fields(thing: Any) -> tuple[Field, ...]:
    """Of a class or of one of its objects."""
    found: dict[str, Field] = thing.__dataclass_fields__
    return tuple(found.values())


def is_dataclass(thing: Any) -> bool:
    """Whether it is such a class, or an object of one."""
    return hasattr(thing if isinstance(thing, type) else type(thing), "__dataclass_fields__")


def replace(thing: Any, /, **changes: Any) -> Any:
    """The same with other values."""
    for one in fields(thing):
        if one.init:
            changes.setdefault(one.name, getattr(thing, one.name))
        elif one.name in changes:
            raise ValueError(f"{one.name} is not given when it is made")
    return type(thing)(**changes)


def _made(cls: Any, *, frozen: bool, kw_only: bool) -> Any:
    table: dict[str, Field] = {}
    for base in reversed(cls.__mro__[1:]):
        table |= base.__dict__.get("__dataclass_fields__", {})
    for name, kind in cls.__annotations__.items():
        if str(kind).startswith(("ClassVar", "typing.ClassVar")):
            continue
        given = cls.__dict__.get(name, MISSING)
        one = given if isinstance(given, Field) else Field(given, MISSING, init=True, repr=True)
        one.name, one.type, one.kw_only = name, kind, kw_only
        if one is given:
            if one.default is MISSING:
                delattr(cls, name)
            else:
                setattr(cls, name, one.default)
        table[name] = one
    cls.__dataclass_fields__ = table
    cls.__match_args__ = tuple(one.name for one in table.values() if one.init and not one.kw_only)  # type: ignore[misc] # mypy takes it for ours
    cls.__init__ = _init
    own = cls.__dict__
    if "__repr__" not in own:
        cls.__repr__ = _repr
    if "__eq__" not in own:
        cls.__eq__ = _eq
        cls.__hash__ = _hash if frozen else None
    if frozen:
        cls.__setattr__, cls.__delattr__ = _refuse_set, _refuse_delete
    return cls


def _init(self: Any, /, *words: Any, **values: Any) -> None:
    kind, own = type(self), self.__dict__
    if words:
        names = kind.__match_args__
        if len(words) > len(names) or not values.keys().isdisjoint(names[: len(words)]):
            raise TypeError(f"{kind.__name__} takes {len(names)} values without a name, each once")
        values.update(zip(names, words, strict=False))
    for name, one in kind.__dataclass_fields__.items():
        if one.init and name in values:
            own[name] = values.pop(name)
        elif one.default is not MISSING:
            own[name] = one.default
        elif one.default_factory is not MISSING:
            own[name] = one.default_factory()
        elif one.init:
            raise TypeError(f"{kind.__name__} wants {name}")
    if values:
        raise TypeError(f"{kind.__name__} has no {', '.join(sorted(values))}")
    after = getattr(self, "__post_init__", None)
    if after is not None:
        after()


def _values(thing: Any) -> tuple[Any, ...]:
    return tuple(getattr(thing, name) for name in thing.__dataclass_fields__)


def _repr(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: object) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _refuse_set(self: Any, name: str, value: object) -> None:  # noqa: ARG001 (a protocol)
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: Any, name: str) -> None:  # noqa: ARG001 (a protocol)
    raise FrozenInstanceError(f"cannot delete field {name!r}")
