"""A conversation that was begun to ask a node who it is, before anything could be compiled for it.

A run goes on with it: another connection, and another start of sync on the node, would tell the same again.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleet.control.link.protocol import Session
from fleet.control.rollout.conversation import Conversation
from fleet.vocabulary.contracts.sync import Hello
from fleet.vocabulary.names import RunId


@dataclass(frozen=True, kw_only=True)
class Met:
    """It has said Hello, and waits. `run_id` is what it was begun as: no other run may go on with it."""

    session: Session
    talk: Conversation
    hello: Hello
    run_id: RunId
