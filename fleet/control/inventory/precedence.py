"""Which value of a variable a node gets: schema default < all < group (deeper wins) < node < --set. Pure.

Between groups of equal depth, Ansible's `ansible_group_priority` decides; else different values are an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

from fleet.control.inventory.settings import NodeSettings
from fleet.control.inventory.structure import ALL, GroupEntry, NodeEntry, Structure, Written
from fleet.control.inventory.typed import canonical, typed_value
from fleet.control.inventory.wording import same_value
from fleet.errors import InventoryError


class Level(StrEnum):
    """Where a value comes from, the weakest first."""

    DEFAULT = "default"
    ALL = "all"
    GROUP = "group"
    NODE = "node"
    SET = "set"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One value that a variable could have.

    `spelling` is the name it was written under, `source` for people; `written` is None for a default.
    """

    value: object
    level: Level
    source: str
    place: str
    spelling: str
    rank: tuple[int, ...]
    wins: bool = False
    written: Written | None = None


Candidates = Mapping[str, Sequence[Candidate]]
"""By fleet's name of the variable."""


def of_groups(groups: Iterable[GroupEntry]) -> dict[str, list[Candidate]]:
    """What a set of groups (with everything above them) says."""
    found: dict[str, list[Candidate]] = {}
    for group in groups:
        level = Level.ALL if group.name == ALL else Level.GROUP
        source = "all" if level is Level.ALL else f"group {group.name} (depth {group.depth})"
        for variable in group.variables:
            _add(found, variable, level, source, (1, *group.rank))
    return found


def of_node(node: NodeEntry) -> dict[str, list[Candidate]]:
    """What stands beside the node's own name."""
    found: dict[str, list[Candidate]] = {}
    for variable in node.variables:
        _add(
            found, variable, Level.NODE, f"node {node.name}" if variable.explicit else f"a range over {node.name}", (2,)
        )
    return found


def of_overrides(overrides: Sequence[Written]) -> dict[str, list[Candidate]]:
    """What the command line says; of one variable the last wins."""
    found: dict[str, list[Candidate]] = {}
    for number, variable in enumerate(overrides):
        _add(found, variable, Level.SET, "--set", (3, number))
    return found


def _add(
    found: dict[str, list[Candidate]], variable: Written, level: Level, source: str, rank: tuple[int, ...]
) -> None:
    candidate = Candidate(typed_value(variable), level, source, variable.place, variable.name, rank, written=variable)
    found.setdefault(canonical(variable.name), []).append(candidate)


def together(*layers: Candidates) -> dict[str, tuple[Candidate, ...]]:
    """The candidates of several layers, the weakest first."""
    names = dict.fromkeys(name for layer in layers for name in layer)
    return {
        name: tuple(sorted((c for layer in layers for c in layer.get(name, ())), key=lambda c: c.rank))
        for name in names
    }


def winner(name: str, candidates: Sequence[Candidate], *, node: str) -> Candidate:
    """The candidate that `node` gets. Raises InventoryError where two of equal strength differ."""
    best = candidates[-1]
    for other in candidates:
        if other.rank == best.rank and not same_value(other.value, best.value):
            raise InventoryError(
                f"{node} gets two values of {name}: {_short(other.value)} and {_short(best.value)}",
                place=best.place,
                detail=f"{other.source} says {_short(other.value)} at {other.place}\n"
                f"{best.source} says {_short(best.value)} at {best.place}",
                hint=f"neither is nearer to the node: set {name} beside {node} itself, or in only one of them"
                if best.level is Level.GROUP
                else "keep one of them",
            )
    return best


def explained(
    structure: Structure, node: NodeEntry, variable: str, overrides: Sequence[Written]
) -> tuple[Candidate, ...]:
    """Every candidate of `variable` for `node`, the weakest first, the winner marked. A tie is an InventoryError."""
    name = canonical(variable)
    layers = (of_groups(structure.ancestors(node.parents)), of_node(node), of_overrides(overrides))
    found = together(*layers).get(name, ())
    default = [
        Candidate(_default(field), Level.DEFAULT, "schema default", "", name, (0,))
        for field in msgspec.structs.fields(NodeSettings)
        if field.name == name
    ]
    everything = (*default, *found)
    if not everything:
        return ()
    best = winner(name, everything, node=node.name)
    return tuple(replace(candidate, wins=candidate is best) for candidate in everything)


def _default(field: msgspec.structs.FieldInfo) -> object:
    """The default as an inventory would say it."""
    made = field.default is msgspec.NODEFAULT and callable(field.default_factory)
    value = field.default_factory() if made else field.default
    return msgspec.to_builtins(value) if isinstance(value, msgspec.Struct) else value


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:59] + "…"
