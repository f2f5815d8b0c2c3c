"""A run on a terminal: one row per node, in one place, until every node has its outcome."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from fleet.cli.hang import hang
from fleet.cli.runpicture import ASCII, FRAMES_A_SECOND, Marks, picture
from fleet.cli.runwords import event_lines
from fleet.control.watch.runboard import board_of
from fleet.vocabulary.contracts.events import RunEvent

_SHORT = 40


class LiveView:
    """A row a node: what it does, how long, how far. What fails is told in full above the rows, and stays there."""

    def __init__(
        self,
        console: Console,
        nodes: Sequence[str],
        *,
        keep: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._now = now
        self._keep = keep
        self._lock = threading.Lock()
        self._board = board_of(nodes)
        self._over = False
        self._live = Live(
            console=console, get_renderable=self.picture, refresh_per_second=FRAMES_A_SECOND, transient=not keep
        )

    def show(self, event: RunEvent) -> None:
        """Update the node's row."""
        now = self._now()
        with self._lock:
            self._board = self._board.after(event, now)
        if event.status == "failed" and (not event.outcome or (self._keep and _needs_room(event))):
            where = f"{event.node}: "
            for line in event_lines(event):
                hang(self._live.console, Text.assemble(where, line), indent=len(where) + 2)

    def __enter__(self) -> LiveView:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *exc: object) -> None:
        self._over = True
        self._live.stop()

    def picture(self) -> RenderableType:
        """The rows as they are now, no more than fit; those that work or failed come before those that are done."""
        marks = Marks() if self._console.encoding.startswith("utf") else ASCII
        board, size = self._board, self._console.size
        return picture(board, self._now(), width=size.width, height=size.height, marks=marks, over=self._over)


def _needs_room(end: RunEvent) -> bool:
    """Whether a node's end says more than its row can."""
    return bool(end.detail or end.hint or len(end.text) > _SHORT)
