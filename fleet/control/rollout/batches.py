"""Which nodes change together, and in which order. Pure.

A node's desired state is one unit, though several plays may speak of it: it belongs to the LAST play that names it,
and that play's strategy rules. So a front that is named last changes after the nodes it routes to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.control.playbook.strategy import Pace
from fleet.vocabulary.names import NodeName


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Nodes changed together. The next batch starts when all of them passed their gates."""

    play: str
    nodes: tuple[NodeName, ...]
    pace: Pace
    canary: bool = False


def batches(plays: Sequence[tuple[str, Pace, Sequence[NodeName]]], busy: Mapping[NodeName, bool]) -> tuple[Batch, ...]:
    """The batches of a run, over the nodes that have something to do (`busy`), plays in their order.

    `plays` holds name, pace and the nodes that each play names, in inventory order.
    """
    last: dict[NodeName, int] = {}
    for index, (_, _, nodes) in enumerate(plays):
        last.update(dict.fromkeys(nodes, index))
    found: list[Batch] = []
    for index, (play, pace, nodes) in enumerate(plays):
        own = [node for node in nodes if last[node] == index]
        todo = [node for node in own if busy.get(node)]
        first, rest = todo[: pace.canary], todo[pace.canary :]
        if first:
            found.append(Batch(play=play, nodes=tuple(first), pace=pace, canary=True))
        width = at_once(pace.max_unavailable, len(own))
        found += [Batch(play=play, nodes=tuple(rest[at : at + width]), pace=pace) for at in range(0, len(rest), width)]
    return tuple(found)


def at_once(max_unavailable: int | float, nodes: int) -> int:
    """How many nodes may change at once: a share is rounded down, but one may always."""
    count = math.floor(max_unavailable * nodes) if isinstance(max_unavailable, float) else max_unavailable
    return max(1, min(count, nodes or 1))
