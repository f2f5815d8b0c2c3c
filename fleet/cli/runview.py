"""A run as it goes: a live row per node on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Protocol

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fleet.vocabulary.contracts.events import Outcome, Phase, RunEvent
from fleet.vocabulary.units import bytes_text

_SHAPES = {
    Outcome.UNCHANGED: ("=", "dim"),
    Outcome.CHANGED: ("✓", "green"),
    Outcome.REVERTED: ("↩", "yellow"),
    Outcome.FAILED: ("✗", "red"),
    Outcome.UNREACHABLE: ("∅", "red"),
    Outcome.SKIPPED: ("·", "dim"),
}


class RunView(Protocol):
    """Something that shows the events of a run."""

    def show(self, event: RunEvent) -> None:
        """Show one event. Called from any thread, one at a time."""
        ...

    def __enter__(self) -> RunView: ...

    def __exit__(self, *exc: object) -> None: ...


def run_view(console: Console, nodes: Sequence[str], *, json: bool) -> RunView:
    """The view that fits where the output goes."""
    if json:
        return JsonView()
    return LiveView(console, nodes) if console.is_terminal else PlainView(console)


class JsonView:
    """One JSON object a line on stdout: the events as they are."""

    def show(self, event: RunEvent) -> None:
        """Print the event."""
        sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
        sys.stdout.buffer.flush()

    def __enter__(self) -> JsonView:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


class PlainView:
    """One line an event that matters."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, event: RunEvent) -> None:
        """Print the event, unless it says nothing new."""
        if event.status == "progress" or (event.status == "start" and event.phase is not Phase.SEND):
            return
        where = f"{event.node}: " if event.node else ""
        for line in event_lines(event):
            self._console.print(Text.assemble(where, line), highlight=False, soft_wrap=True)

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


class LiveView:
    """A row a node: what it does, how far, its last line. Failures stay on the screen above the rows."""

    def __init__(self, console: Console, nodes: Sequence[str]) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._rows: dict[str, RunEvent | None] = dict.fromkeys(nodes)
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=8, transient=False)

    def show(self, event: RunEvent) -> None:
        """Update the node's row."""
        with self._lock:
            if event.node:
                self._rows[event.node] = event
            elif event.text:
                self._live.console.print(Text(event.text, style="dim"), highlight=False)
        if event.status == "failed" and event.phase is not Phase.DONE:
            for line in event_lines(event):
                self._live.console.print(Text.assemble(f"{event.node}: ", line), highlight=False, soft_wrap=True)

    def __enter__(self) -> LiveView:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, event in list(self._rows.items()):
            table.add_row(Text(name, style="bold"), *_cells(event))
        return table


def event_lines(event: RunEvent) -> list[Text]:
    """An event as lines of text: what, then why, then what to do."""
    if event.outcome:
        shape, style = _SHAPES[event.outcome]
        first = Text(f"{shape} {event.outcome}", style=style)
        if event.text:
            first.append(f": {event.text}", style="not bold")
    elif event.phase is Phase.SEND:
        if event.status == "start" or not event.bytes_total:
            return [Text(f"sending {bytes_text(event.bytes_total)}")] if event.bytes_total else []
        return []
    else:
        mark = {"failed": "✗ ", "ok": "✓ "}.get(event.status, "")
        phase = "" if event.phase is Phase.APPLY else str(event.phase)
        first = Text(f"{mark}{phase}", style="red" if event.status == "failed" else "")
        if not event.text and event.phase in (Phase.CONNECT, Phase.CHECK):
            return []
        first.append((" " if phase and event.text else "") + event.text)
    lines = [first]
    lines += [Text(f"  {line}", style="dim") for line in event.detail.splitlines()]
    lines += [Text(f"  hint: {line}") for line in event.hint.splitlines()]
    return lines


def _cells(event: RunEvent | None) -> tuple[Text, Text]:
    if event is None:
        return Text("waits", style="dim"), Text("")
    if event.outcome:
        shape, style = _SHAPES[event.outcome]
        return Text(f"{shape} {event.outcome}", style=style), Text(event.text)
    if event.phase is Phase.SEND and event.bytes_total:
        share = event.bytes_done / event.bytes_total
        bar = "█" * round(share * 20) + "░" * (20 - round(share * 20))
        return Text("send", style="cyan"), Text(
            f"{bar} {bytes_text(event.bytes_done)} of {bytes_text(event.bytes_total)}"
        )
    return Text(str(event.phase), style="cyan"), Text(event.text, style="red" if event.status == "failed" else "")
