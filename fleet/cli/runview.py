"""A run as it goes: a live row per node on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Protocol

import msgspec
from rich.console import Console
from rich.text import Text

from fleet.cli.planview import WORDS
from fleet.vocabulary.contracts.events import Outcome, Phase, RunEvent
from fleet.vocabulary.units import bytes_text

SHAPES = {
    Outcome.UNCHANGED: ("=", "dim"),
    Outcome.CHANGED: ("✓", "green"),
    Outcome.REVERTED: ("↩", "yellow"),
    Outcome.FAILED: ("✗", "red"),
    Outcome.UNREACHABLE: ("∅", "red"),
    Outcome.SKIPPED: ("·", "dim"),
}
_QUIET = ("directory ", "file ", "tree ", "pmset ", "sysctl ", "switch")


class RunView(Protocol):
    """Something that shows the events of a run."""

    def show(self, event: RunEvent) -> None:
        """Show one event. Called from any thread, one at a time."""
        ...

    def __enter__(self) -> RunView: ...

    def __exit__(self, *exc: object) -> None: ...


def run_view(console: Console, nodes: Sequence[str], *, json: bool, keep: bool = True) -> RunView:
    """The view that fits where the output goes. Without `keep` a terminal's rows vanish at the end."""
    from fleet.cli.liveview import LiveView

    if json:
        return JsonView()
    return LiveView(console, nodes, keep=keep) if console.is_terminal else PlainView(console)


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
    """One line an event that matters: the plan has told which files come; services and gates are told as they go."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, event: RunEvent) -> None:
        """Print the event, unless it says nothing new."""
        if event.status == "progress" or (event.status == "start" and event.phase is not Phase.SEND):
            return
        if event.phase is Phase.APPLY and event.status == "ok" and event.text.startswith(_QUIET):
            return
        if event.outcome is Outcome.UNCHANGED:
            return
        where = f"{event.node}: " if event.node else ""
        for line in event_lines(event):
            self._console.print(Text.assemble(where, line), highlight=False, soft_wrap=True)

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


def event_lines(event: RunEvent) -> list[Text]:
    """An event as lines of text: what, then why, then what to do."""
    if event.outcome:
        shape, style = SHAPES[event.outcome]
        first = Text(f"{shape} {event.outcome}", style=style)
        if event.text:
            first.append(f": {event.text}", style="not bold")
    elif event.phase is Phase.SEND:
        if event.status == "start" or not event.bytes_total:
            return [Text(f"sending {bytes_text(event.bytes_total)}")] if event.bytes_total else []
        return []
    else:
        words = step_words(event.text) if event.phase in (Phase.APPLY, Phase.REVERT) else event.text
        mark = {"failed": "✗ ", "ok": "✓ "}.get(event.status, "")
        phase = "" if event.phase is Phase.APPLY else str(event.phase)
        first = Text(f"{mark}{phase}", style="red" if event.status == "failed" else "")
        if not event.text and event.phase in (Phase.CONNECT, Phase.CHECK):
            return []
        first.append((" " if phase and words else "") + words)
    lines = [first]
    lines += [Text(f"  {line}", style="dim") for line in event.detail.splitlines()]
    lines += [Text(f"  hint: {line}") for line in event.hint.splitlines()]
    return lines


def step_words(text: str) -> str:
    """A step as the plan says it: `daemon X · bootstrap · why` is `start X: why`."""
    noun, _, rest = text.partition(" · ")
    action, _, why = rest.partition(" · ")
    if not action:
        return text
    name = noun.removeprefix("daemon ") if action in WORDS else noun
    return f"{WORDS.get(action, action)} {name}" + (f": {why}" if why else "")
