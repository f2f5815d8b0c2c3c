"""`fleet gc`: what no kept release of a node refers to goes, by the limits of the node's live release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleet.control.actions.reach import require_adopted
from fleet.control.actions.spread import on_each
from fleet.control.inventory import Node
from fleet.control.link.protocol import Link, target_of
from fleet.control.rollout.conversation import Conversation, SyncPart, helper_argv
from fleet.control.rollout.journal import new_run_id
from fleet.errors import FleetError
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.sync import Collect, Collected
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


def collect(
    nodes: Sequence[Node], *, link: Link, base: Path, sync: SyncPart, clock: Clock, wish: Collect
) -> Iterator[Swept]:
    """Ask every node at once; answers in the order in which they come."""

    def one(node: Node) -> Swept:
        require_adopted(node)
        session = link.connect(target_of(node, base=base))
        try:
            helper = helper_argv(node.settings.layout(), sudo=node.settings.sudo)
            talk = Conversation(session, node=node.name, helper=helper, sync=sync)
            talk.open(state_id="-", run_id=new_run_id(clock.now()))
            return Swept(node=node.name, collected=talk.collect(wish))
        finally:
            session.close()

    return on_each(nodes, one, failed=lambda node, error: Swept(node=node.name, error=error))
