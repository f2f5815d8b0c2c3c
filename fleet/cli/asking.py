"""The view of a run that can be asked through: a question takes its place, and another view comes after it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import click

from fleet.cli.runview import RunView
from fleet.control.rollout.batches import Batch
from fleet.vocabulary.contracts.events import RunEvent

MakeView = Callable[[Sequence[str]], RunView]


class AskingView:
    """Shows the nodes of these batches, and asks in a pause whether the next one may begin.

    `last` is the last event of every node.
    """

    def __init__(self, make: MakeView, order: Sequence[Batch]) -> None:
        self._make = make
        self._order = order
        self._view = self._for(1)
        self.last: dict[str, RunEvent] = {}

    def show(self, event: RunEvent) -> None:
        """Remember the event and show it."""
        if event.node:
            self.last[event.node] = event
        self._view.show(event)

    def __enter__(self) -> AskingView:
        self._view.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._view.__exit__(*exc)

    def ask(self, batch: int) -> bool | None:
        """Whether batch number `batch` may begin; None when there is nobody to say so. Nodes are at rest meanwhile."""
        if not sys.stdin.isatty():
            return None
        self._view.__exit__(None, None, None)
        try:
            names = ", ".join(self._order[batch - 1].nodes)
            return click.confirm(f"Go on with batch {batch} of {len(self._order)} ({names})?", err=True)
        finally:
            self._view = self._for(batch)
            self._view.__enter__()

    def _for(self, batch: int) -> RunView:
        """A view of this batch's nodes and those of the later ones."""
        return self._make([node for one in self._order[batch - 1 :] for node in one.nodes])
