"""`fleet gc`: what no kept release of a node refers to goes, by the limits of the node's live release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fleet.control.actions.asking import Asking
from fleet.control.inventory import Node
from fleet.errors import FleetError
from fleet.vocabulary.contracts.questions import Collect, Collected
from fleet.vocabulary.names import NodeName


@dataclass(frozen=True, kw_only=True)
class Swept:
    """How it went on one node."""

    node: NodeName
    collected: Collected = field(default_factory=Collected)
    error: FleetError | None = None

    @property
    def freed_bytes(self) -> int:
        """What the removed things held, or would give back."""
        return sum(one.size_bytes for one in self.collected.dropped)


def collect(nodes: Sequence[Node], asking: Asking, wish: Collect) -> Iterator[Swept]:
    """Ask every node at once; answers in the order in which they come."""
    for answer in asking.each(nodes, lambda _node, talk, _hello: talk.collect(wish)):
        yield Swept(node=answer.node, collected=answer.said or Collected(), error=answer.error)
