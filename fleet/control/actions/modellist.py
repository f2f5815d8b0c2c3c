"""`fleet model ls`: which weights are on which node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fleet.control.actions.asking import Asking
from fleet.control.inventory import Node
from fleet.errors import FleetError
from fleet.vocabulary.contracts.questions import Models
from fleet.vocabulary.names import NodeName


@dataclass(frozen=True, kw_only=True)
class NodeModels:
    """What one node has, or why it does not say."""

    node: NodeName
    models: Models = field(default_factory=Models)
    error: FleetError | None = None


def list_models(nodes: Sequence[Node], asking: Asking) -> Iterator[NodeModels]:
    """Ask every node at once; answers in the order in which they come."""
    for answer in asking.each(nodes, lambda _node, talk, _hello: talk.models()):
        yield NodeModels(node=answer.node, models=answer.said or Models(), error=answer.error)
