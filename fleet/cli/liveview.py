"""A run on a terminal: one row per node, in one place, until every node has its outcome."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fleet.cli.hang import hang
from fleet.cli.runview import SHAPES, event_lines, step_words
from fleet.vocabulary.contracts.events import Outcome, Phase, RunEvent
from fleet.vocabulary.units import bytes_text, seconds_text

_A_SECOND = 8
_WIDEST = 110
_BAR = 16
_SHORT = 40
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_FRAMES = "|/-\\"
_MEANWHILE = {
    Phase.CONNECT: "",
    Phase.CHECK: "what is there, what should be",
    Phase.STAGE: "unpack and verify; nothing live changes yet",
}
_FINE = (Outcome.CHANGED, Outcome.UNCHANGED)


@dataclass(frozen=True)
class _Row:
    """What is known of one node. Seconds are those of the view's clock."""

    event: RunEvent | None = None
    began: float = 0.0
    ended: float | None = None

    @property
    def waits(self) -> bool:
        return self.event is None

    @property
    def runs(self) -> bool:
        return self.event is not None and self.event.outcome is None

    @property
    def fine(self) -> bool:
        return self.event is not None and self.event.outcome in _FINE


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
        self._rows: dict[str, _Row] = dict.fromkeys(nodes, _Row())
        self._note = ""
        self._live = Live(
            console=console, get_renderable=self.picture, refresh_per_second=_A_SECOND, transient=not keep
        )

    def show(self, event: RunEvent) -> None:
        """Update the node's row."""
        now = self._now()
        with self._lock:
            if event.node:
                row = self._rows.get(event.node, _Row())
                began = now if row.waits else row.began
                self._rows[event.node] = replace(row, event=event, began=began, ended=now if event.outcome else None)
            elif event.text:
                self._note = event.text
        if event.status == "failed" and (not event.outcome or (self._keep and _needs_room(event))):
            where = f"{event.node}: "
            for line in event_lines(event):
                hang(self._live.console, Text.assemble(where, line), indent=len(where) + 2)

    def __enter__(self) -> LiveView:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *exc: object) -> None:
        self._note = ""
        self._live.stop()

    def picture(self) -> RenderableType:
        """The rows as they are now, no more than fit; those that work or failed come before those that are done."""
        rows, now = dict(self._rows), self._now()
        room = max(1, self._console.height - 3)
        frames = _FRAMES if self._console.encoding.startswith("utf") else _ASCII_FRAMES
        names = list(rows)
        hidden: list[str] = []
        if len(names) > room:
            told = sorted(names, key=lambda name: _interest(rows[name]))[: room - 1]
            hidden = [name for name in names if name not in told]
            names = [name for name in names if name in told]
        table = Table.grid(padding=(0, 2, 0, 0))
        table.width = min(self._console.width, _WIDEST)
        table.add_column(no_wrap=True, max_width=24, overflow="ellipsis")
        table.add_column(no_wrap=True, min_width=11)
        table.add_column(no_wrap=True, min_width=5, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for name in names:
            table.add_row(Text(name, style="bold"), *_cells(rows[name], now, frames=frames))
        below = [
            Text(text, style="dim", no_wrap=True, overflow="ellipsis") for text in (_rest(hidden, rows), self._note)
        ]
        return Group(table, *(text for text in below if text))


def _needs_room(end: RunEvent) -> bool:
    """Whether a node's end says more than its row can."""
    return bool(end.detail or end.hint or len(end.text) > _SHORT)


def _interest(row: _Row) -> int:
    return 2 if row.fine else 1 if row.waits else 0


def _rest(hidden: Sequence[str], rows: dict[str, _Row]) -> str:
    """How those nodes do that have no row."""
    words = Counter("fine" if rows[name].fine else "waiting" if rows[name].waits else "at work" for name in hidden)
    return f"… {len(hidden)} more: {', '.join(f'{count} {word}' for word, count in words.items())}" if hidden else ""


def _cells(row: _Row, now: float, *, frames: str) -> tuple[Text, Text, Text]:
    event = row.event
    if event is None:
        return Text("· waits", style="dim"), Text(""), Text("")
    took = Text(_span((row.ended or now) - row.began), style="dim")
    if event.outcome:
        shape, style = SHAPES[event.outcome]
        return Text(f"{shape} {event.outcome}", style=style), took, Text(event.text, style="dim")
    frame = frames[int(now * _A_SECOND) % len(frames)]
    return Text(f"{frame} {event.phase}", style="cyan"), took, _doing(event)


def _doing(event: RunEvent) -> Text:
    if event.phase is Phase.SEND:
        if not event.bytes_total:
            return Text("")
        done = round(event.bytes_done / event.bytes_total * _BAR)
        bar = Text("━" * done, style="cyan").append("━" * (_BAR - done), style="bright_black")
        return bar.append(f"  {bytes_text(event.bytes_done)} of {bytes_text(event.bytes_total)}", style="default")
    if event.status == "failed":
        return Text(event.text, style="red")
    words = step_words(event.text) if event.phase in (Phase.APPLY, Phase.REVERT) else event.text
    return Text(words or _MEANWHILE.get(event.phase, ""), style="" if words else "dim")


def _span(seconds: float) -> str:
    """Whole seconds while they pass: what changes ten times a second is no comfort."""
    return f"{int(seconds)} s" if seconds < 60 else seconds_text(seconds)
