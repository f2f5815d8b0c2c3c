"""One question to the sync of many nodes at once: a session, a hello, the question, the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from fleet.control.actions.reach import require_adopted
from fleet.control.actions.spread import on_each
from fleet.control.inventory import Node
from fleet.control.link.protocol import Link, target_of
from fleet.control.rollout.conversation import Conversation, SyncPart, helper_argv
from fleet.control.rollout.journal import new_run_id
from fleet.errors import FleetError
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.sync import Hello
from fleet.vocabulary.names import NodeName

T = TypeVar("T")

Question = Callable[[Node, Conversation, Hello], T]
"""Asks in an open conversation. May be called by many threads at once."""


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[T]):
    """What one node said, or why it did not."""

    node: NodeName
    said: T | None = None
    error: FleetError | None = None


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How nodes are reached to be asked."""

    link: Link
    base: Path
    sync: SyncPart
    clock: Clock

    def each(self, nodes: Sequence[Node], question: Question[T]) -> Iterator[Answer[T]]:
        """Ask every node at once; answers in the order in which they come."""
        return on_each(
            nodes,
            lambda node: Answer(node=node.name, said=self.one(node, question)),
            failed=lambda node, error: Answer(node=node.name, error=error),
        )

    def one(self, node: Node, question: Question[T]) -> T:
        """Ask one node. Raises NotAdopted, Unreachable, NodeError, ProtocolError."""
        require_adopted(node)
        session = self.link.connect(target_of(node, base=self.base))
        try:
            helper = helper_argv(node.settings.layout(), sudo=node.settings.sudo)
            talk = Conversation(session, node=node.name, helper=helper, sync=self.sync)
            return question(node, talk, talk.open(state_id="-", run_id=new_run_id(self.clock.now())))
        finally:
            session.close()
