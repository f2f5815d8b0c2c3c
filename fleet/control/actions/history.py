"""`fleet history`: the releases that nodes keep, and who made them live when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.control.actions.asking import Answer, Asking
from fleet.control.inventory import Node
from fleet.vocabulary.contracts.questions import History


def histories(nodes: Sequence[Node], asking: Asking) -> Iterator[Answer[History]]:
    """What every node keeps; answers in the order in which they come."""
    return asking.each(nodes, lambda _node, talk, _hello: talk.history())
