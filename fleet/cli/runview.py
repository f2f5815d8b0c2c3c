"""A run as it goes: a live row per node on a terminal, plain lines elsewhere, JSON lines on request.

All three come from the same events. Progress is for eyes: of it, plain text and JSON get a line now and then.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from rich.console import Console
from rich.text import Text

from fleet.cli.runwords import event_lines
from fleet.control.watch.flow import Flow
from fleet.control.watch.runwords import event_words, share_text
from fleet.vocabulary.contracts.events import Outcome, Phase, RunEvent
from fleet.vocabulary.units import seconds_text

_QUIET = ("directory ", "file ", "tree ", "pmset ", "sysctl ", "switch")
_PLAIN_EVERY_SECONDS = 10.0
_JSON_EVERY_SECONDS = 1.0


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


class NowAndThen:
    """Lets progress through when its node has begun another phase, or has said nothing for a while."""

    def __init__(self, every_seconds: float, *, now: Callable[[], float]) -> None:
        self._every = every_seconds
        self._now = now
        self._last: dict[str, tuple[Phase, float]] = {}

    def wants(self, event: RunEvent) -> bool:
        """Whether this one is to be shown. A phase is new when its first progress comes: that one is not shown yet."""
        now, last = self._now(), self._last.get(event.node)
        if last is None or last[0] is not event.phase:
            self._last[event.node] = (event.phase, now)
            return False
        if now - last[1] < self._every:
            return False
        self._last[event.node] = (event.phase, now)
        return True


class JsonView:
    """One JSON object a line on stdout: the events as they are, and a second's progress in one of them."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._progress = NowAndThen(_JSON_EVERY_SECONDS, now=now)

    def show(self, event: RunEvent) -> None:
        """Print the event."""
        if event.status == "progress" and not self._progress.wants(event):
            return
        sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
        sys.stdout.buffer.flush()

    def __enter__(self) -> JsonView:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


class PlainView:
    """One line an event that matters: the plan has told which files come; services and gates are told as they go."""

    def __init__(self, console: Console, *, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._now = now
        self._progress = NowAndThen(_PLAIN_EVERY_SECONDS, now=now)
        self._flows: dict[tuple[str, Phase], Flow] = {}

    def show(self, event: RunEvent) -> None:
        """Print the event, unless it says nothing new."""
        if event.status == "progress":
            self._show_progress(event)
            return
        if event.status == "start" and event.phase not in (Phase.SEND, Phase.DRAIN):
            return
        if event.phase is Phase.APPLY and event.status == "ok" and event.text.startswith(_QUIET):
            return
        if event.outcome is Outcome.UNCHANGED:
            return
        self._print(event, event_lines(event))

    def _show_progress(self, event: RunEvent) -> None:
        key, now = (event.node, event.phase), self._now()
        flow = self._flows.get(key, Flow()).after(event.bytes_done, event.bytes_total, now)
        self._flows[key] = flow
        if not self._progress.wants(event):
            return
        parts = [event_words(event)]
        if flow.total:
            parts.append(share_text(flow.done, flow.total))
            left = flow.left_seconds(now)
            parts.append("" if left is None else f"{seconds_text(max(1.0, left))} left")
        self._print(event, [Text(f"{event.phase} {', '.join(part for part in parts if part)}")])

    def _print(self, event: RunEvent, lines: Sequence[Text]) -> None:
        where = f"{event.node}: " if event.node else ""
        for line in lines:
            self._console.print(Text.assemble(where, line), highlight=False, soft_wrap=True)

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *exc: object) -> None:
        return None
