"""The dataclasses of the zipapp mean what the standard ones do."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import types
from typing import Any

import pytest

from fleet.control.supply.nodepart import sync_files
from fleet.node.sync import plainclasses

_OF_SYNC = tuple(
    path.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
    for path in sync_files()
    if not path.endswith(("start.py", "plainclasses.py"))
)


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Any, Any]]:
    """Every dataclass of sync, and the same as the zipapp has it."""
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "fleet"}
    standard = sys.modules["dataclasses"]
    lean = types.ModuleType("dataclasses")
    lean.__dict__.update(vars(plainclasses))
    sys.modules["dataclasses"] = lean
    try:
        ours = {name: importlib.import_module(name) for name in _OF_SYNC}
    finally:
        sys.modules["dataclasses"] = standard
        for name in [name for name in sys.modules if name.split(".")[0] == "fleet"]:
            del sys.modules[name]
        sys.modules.update(kept)
    found = []
    for name, module in ours.items():
        theirs = importlib.import_module(name)
        found += [
            (thing, getattr(module, word))
            for word, thing in vars(theirs).items()
            if isinstance(thing, type) and dataclasses.is_dataclass(thing) and thing.__module__ == name
        ]
    return found


def test_every_class_of_sync_has_the_same_fields_and_defaults(pairs: list[tuple[Any, Any]]) -> None:
    assert len(pairs) > 90
    for standard, lean in pairs:
        theirs, ours = dataclasses.fields(standard), plainclasses.fields(lean)
        assert [one.name for one in ours] == [one.name for one in theirs], standard
        for mine, one in zip(ours, theirs, strict=True):
            assert (mine.type, mine.init, mine.repr, mine.kw_only) == (one.type, one.init, one.repr, one.kw_only)
            assert (mine.default is plainclasses.MISSING) == (one.default is dataclasses.MISSING)
            assert (mine.default_factory is plainclasses.MISSING) == (one.default_factory is dataclasses.MISSING)
        assert lean.__match_args__ == standard.__match_args__, standard
        assert (lean.__hash__ is None) == (standard.__hash__ is None), standard


def test_objects_are_made_shown_and_compared_alike(pairs: list[tuple[Any, Any]]) -> None:
    for standard, lean in pairs:
        if hasattr(standard, "__post_init__"):
            continue
        given = {one.name: one.name for one in dataclasses.fields(standard) if one.init}
        one, mine = standard(**given), lean(**given)
        assert repr(mine) == repr(one)
        assert mine == lean(**given)
        assert mine != one
        if standard.__hash__ is not None:
            assert hash(mine) == hash(one) == hash(lean(**given))
        if given:
            name = next(iter(given))
            assert plainclasses.replace(mine, **{name: "x"}) != mine
        with pytest.raises(TypeError):
            lean(**given, nothing_of_it=1)
        if any(one.default is one.default_factory is dataclasses.MISSING for one in dataclasses.fields(standard)):
            with pytest.raises(TypeError, match="wants"):
                lean()


def test_positions_factories_and_frozen_fields() -> None:
    @plainclasses.dataclass(frozen=True)
    class Base:
        first: int
        second: list[int] = plainclasses.field(default_factory=list)

        def __repr__(self) -> str:
            return "mine"

    base: Any = Base
    one, other = base(1), base(1)
    assert one.second == []
    assert one.second is not other.second
    assert repr(one) == "mine"
    assert base(1, [2]) == base(first=1, second=[2])
    for words, named in (((1, [2], 3), {}), ((1,), {"first": 2}), ((), {})):
        with pytest.raises(TypeError):
            base(*words, **named)
    with pytest.raises(AttributeError):
        one.first = 2
    with pytest.raises(AttributeError):
        del one.first


def test_a_value_that_is_not_given_is_not_replaced() -> None:
    @plainclasses.dataclass(kw_only=True)
    class Odd:
        given: int = 1
        made: int = plainclasses.field(init=False)
        hidden: str = plainclasses.field(default="h", repr=False)

        def __post_init__(self) -> None:
            self.made = self.given + 1

    kind: Any = Odd
    odd = kind(given=4)
    assert odd.made == 5
    assert plainclasses.replace(odd, given=7).made == 8
    with pytest.raises(ValueError, match="made"):
        plainclasses.replace(odd, made=1)
    assert "hidden" not in repr(odd)
    assert plainclasses.is_dataclass(odd)
    assert plainclasses.is_dataclass(Odd)
    assert not plainclasses.is_dataclass(3)
    with pytest.raises(TypeError):
        hash(odd)
