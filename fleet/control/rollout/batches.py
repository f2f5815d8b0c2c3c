"""Which nodes change together, and in which order. Pure.

A node's desired state is one unit, though several plays may speak of it: it belongs to the LAST play that names it,
and that play's strategy rules. So a front that is named last changes after the nodes it routes to.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fleet.control.playbook.strategy import Order, Pace
from fleet.vocabulary.names import NodeName


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Nodes changed together. The next batch starts when all of them passed their gates.

    `own` are all nodes of the play, of which no more than `at_once` may be out at any time. A canary batch also names
    the canaries that did not answer: they have failed.
    """

    play: str
    nodes: tuple[NodeName, ...]
    pace: Pace
    own: tuple[NodeName, ...] = ()
    at_once: int = 1
    canary: bool = False


def batches(
    plays: Sequence[tuple[str, Pace, Sequence[NodeName]]],
    busy: Mapping[NodeName, bool],
    *,
    lost: Collection[NodeName] = (),
    memory: Mapping[NodeName, int] | None = None,
) -> tuple[Batch, ...]:
    """The batches of a run, over the nodes that have something to do (`busy`), plays in their order.

    `plays` holds name, pace and the nodes that each play names, in inventory order. `lost` are nodes of the run that
    did not answer: none is replaced as a canary. `memory` (bytes) serves the order by memory.
    """
    last: dict[NodeName, int] = {}
    for index, (_, _, nodes) in enumerate(plays):
        last.update(dict.fromkeys(nodes, index))
    found: list[Batch] = []
    for index, (play, pace, nodes) in enumerate(plays):
        own = ordered([node for node in nodes if last[node] == index], pace.order, memory or {})
        first = [node for node in own if busy.get(node) or node in lost][: pace.canary]
        rest = [node for node in own if busy.get(node) and node not in first]
        if not rest and not any(busy.get(node) for node in first):
            continue
        width = at_once(pace.max_unavailable, len(own))
        groups = [(first, True)] if first else []
        groups += [(rest[at : at + width], False) for at in range(0, len(rest), width)]
        found += [
            Batch(play=play, nodes=tuple(group), pace=pace, own=tuple(own), at_once=width, canary=canary)
            for group, canary in groups
        ]
    return tuple(found)


def at_once(max_unavailable: int | float, nodes: int) -> int:
    """How many nodes may change at once: a share is rounded down, but one may always."""
    count = math.floor(max_unavailable * nodes) if isinstance(max_unavailable, float) else max_unavailable
    return max(1, min(count, nodes or 1))


def ordered(nodes: Sequence[NodeName], order: Order, memory: Mapping[NodeName, int]) -> list[NodeName]:
    """The nodes of a play, from the first to go to the last. Equal ones stay in inventory order."""
    match order:
        case Order.INVENTORY:
            return list(nodes)
        case Order.REVERSE:
            return list(reversed(nodes))
        case Order.ALPHABETICAL:
            return sorted(nodes, key=_natural)
        case Order.LEAST_MEMORY:
            return sorted(nodes, key=lambda node: memory.get(node, math.inf))


def _natural(name: str) -> list[tuple[int, str]]:
    """mini-2 comes before mini-10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
