"""`when`: a predicate over groups, facts and variables, decided per node. Pure.

What is not known is neither true nor false (Kleene's three values): a predicate that hangs on it is an error.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from msgspec import UNSET, UnsetType

from fleet.control.inventory.nearest import did_you_mean
from fleet.control.playbook.shapes import Name, Scalar, Shape
from fleet.errors import PlaybookError

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


class GroupTest(Shape, frozen=True, kw_only=True):
    """The node is in the group."""

    group: Name


class _Comparison(Shape, frozen=True, kw_only=True, rename={"in_": "in"}):
    some_of: ClassVar[tuple[str, ...]] = ("eq", "ne", "lt", "le", "gt", "ge", "in_")

    eq: Scalar | UnsetType = UNSET
    ne: Scalar | UnsetType = UNSET
    lt: int | float | str | UnsetType = UNSET
    le: int | float | str | UnsetType = UNSET
    gt: int | float | str | UnsetType = UNSET
    ge: int | float | str | UnsetType = UNSET
    in_: tuple[Scalar, ...] | UnsetType = UNSET


class FactTest(_Comparison, frozen=True, kw_only=True):
    """What the node says of itself compares so; all comparisons given must hold."""

    fact: str


class VarTest(_Comparison, frozen=True, kw_only=True):
    """A variable of the inventory compares so, or is `defined`; all comparisons given must hold."""

    some_of: ClassVar[tuple[str, ...]] = (*_Comparison.some_of, "defined")

    var: str
    defined: bool | UnsetType = UNSET


@dataclass(frozen=True)
class All:
    """Every one holds."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True)
class AnyOf:
    """One holds at least."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True)
class Not:
    """It does not hold."""

    part: Predicate


Predicate = GroupTest | FactTest | VarTest | All | AnyOf | Not

TESTS: Mapping[str, type[GroupTest | FactTest | VarTest]] = {"group": GroupTest, "fact": FactTest, "var": VarTest}
"""The tests by the key that tells them apart; `all`, `any` and `not` hold others."""


@dataclass(frozen=True)
class Unknown:
    """Neither true nor false, and why."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What predicates of one node are decided over. `all_groups` are the inventory's; `facts` holds what is known."""

    node: str
    groups: Collection[str]
    all_groups: Collection[str]
    facts: Mapping[str, object]
    variables: Mapping[str, object]


class Undecided(PlaybookError):
    """A predicate hangs on what is not known of a node."""


def holds(predicate: Predicate, scope: Scope, *, place: str) -> bool:
    """Whether the predicate holds for the node. Raises Undecided when that is not known."""
    answer = decide(predicate, scope)
    if isinstance(answer, Unknown):
        raise Undecided(
            f"`when` cannot be decided for {scope.node}",
            place=place,
            detail=answer.reason,
            hint="a deploy asks the node for its facts first; memory_gb of the inventory stands in before that",
        )
    return answer


def decide(predicate: Predicate, scope: Scope) -> bool | Unknown:
    """True, False, or why it is not known."""
    match predicate:
        case GroupTest(group=group):
            if group not in scope.all_groups:
                near = did_you_mean(group, scope.all_groups)
                return Unknown(f"the inventory has no group {group!r}" + (f" ({near})" if near else ""))
            return group in scope.groups
        case FactTest(fact=fact):
            if fact not in scope.facts:
                return Unknown(f"the fact {fact} of {scope.node} is not known")
            return _compare(predicate, scope.facts[fact], f"the fact {fact}")
        case VarTest(var=name):
            return _variable(predicate, name, scope)
        case All(parts=parts):
            return _fold([decide(part, scope) for part in parts], decisive=False)
        case AnyOf(parts=parts):
            return _fold([decide(part, scope) for part in parts], decisive=True)
        case Not(part=part):
            answer = decide(part, scope)
            return answer if isinstance(answer, Unknown) else not answer


def _fold(answers: list[bool | Unknown], *, decisive: bool) -> bool | Unknown:
    if decisive in [answer for answer in answers if isinstance(answer, bool)]:
        return decisive
    unknown = [answer for answer in answers if isinstance(answer, Unknown)]
    return unknown[0] if unknown else not decisive


def _variable(test: VarTest, name: str, scope: Scope) -> bool | Unknown:
    there = name in scope.variables
    if not isinstance(test.defined, UnsetType):
        if there != test.defined:
            return False
        if all(getattr(test, field) is UNSET for field in _Comparison.some_of):
            return True
    if not there:
        near = did_you_mean(name, scope.variables)
        return Unknown(f"{scope.node} has no variable {name!r}" + (f" ({near})" if near else ""))
    return _compare(test, scope.variables[name], f"the variable {name}")


def _compare(test: FactTest | VarTest, found: object, what: str) -> bool | Unknown:
    for name, compare in COMPARISONS.items():
        wanted = getattr(test, name)
        if wanted is UNSET:
            continue
        if name in ("eq", "ne"):
            if _same(found, wanted) != (name == "eq"):
                return False
            continue
        if isinstance(found, bool) or not _comparable(found, wanted):
            return Unknown(f"{what} is {found!r}, which has no order beside {wanted!r}")
        if not compare(found, wanted):
            return False
    return isinstance(test.in_, UnsetType) or any(_same(found, wanted) for wanted in test.in_)


def _same(found: object, wanted: object) -> bool:
    """Equal, where true is not 1."""
    return isinstance(found, bool) == isinstance(wanted, bool) and found == wanted


def _comparable(found: object, wanted: object) -> bool:
    numbers = isinstance(found, int | float) and isinstance(wanted, int | float)
    return numbers or (isinstance(found, str) and isinstance(wanted, str))
