"""`fleet model ls`: which weights are on which node."""

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
from fleet.vocabulary.contracts.sync import Models
from fleet.vocabulary.names import NodeName


@dataclass(frozen=True, kw_only=True)
class NodeModels:
    """What one node has, or why it does not say."""

    node: NodeName
    models: Models = field(default_factory=Models)
    error: FleetError | None = None


def list_models(nodes: Sequence[Node], *, link: Link, base: Path, sync: SyncPart, clock: Clock) -> Iterator[NodeModels]:
    """Ask every node at once; answers in the order in which they come."""

    def one(node: Node) -> NodeModels:
        require_adopted(node)
        session = link.connect(target_of(node, base=base))
        try:
            helper = helper_argv(node.settings.layout(), sudo=node.settings.sudo)
            talk = Conversation(session, node=node.name, helper=helper, sync=sync)
            talk.open(state_id="-", run_id=new_run_id(clock.now()))
            return NodeModels(node=node.name, models=talk.models())
        finally:
            session.close()

    return on_each(nodes, one, failed=lambda node, error: NodeModels(node=node.name, error=error))
