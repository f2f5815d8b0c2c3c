"""The events of a run as styled lines. Pure."""

from __future__ import annotations

from rich.text import Text

from fleet.control.watch.runwords import OUTCOMES, event_words
from fleet.control.watch.statewords import Tone
from fleet.vocabulary.contracts.events import Phase, RunEvent
from fleet.vocabulary.units import bytes_text

_STYLES = {Tone.DIM: "dim", Tone.OK: "green", Tone.WARN: "yellow", Tone.CRITICAL: "red"}
SHAPES = {outcome: (told.shape, _STYLES[told.tone]) for outcome, told in OUTCOMES.items()}
LAST_LINES = 20


def event_lines(event: RunEvent) -> list[Text]:
    """An event as lines of text: what, then why (no more than its last lines), then what to do."""
    if event.outcome:
        shape, style = SHAPES[event.outcome]
        first = Text(f"{shape} {event.outcome}", style=style)
        if event.text:
            first.append(f": {event.text}", style="not bold")
    elif event.phase is Phase.SEND:
        if event.status == "start" or not event.bytes_total:
            return [Text(f"sending {bytes_text(event.bytes_total)}")] if event.bytes_total else []
        return [Text(event.text)] if event.text else []
    else:
        words = event_words(event)
        mark = {"failed": "✗ ", "ok": "✓ "}.get(event.status, "")
        phase = "" if event.phase is Phase.APPLY else str(event.phase)
        first = Text(f"{mark}{phase}", style="red" if event.status == "failed" else "")
        if not event.text and event.phase in (Phase.CONNECT, Phase.CHECK):
            return []
        first.append((" " if phase and words else "") + words)
    lines = [first]
    detail = event.detail.splitlines()
    if len(detail) > LAST_LINES:
        lines.append(Text(f"  ({len(detail) - LAST_LINES} lines before these)", style="dim"))
    lines += [Text(f"  {line}", style="dim") for line in detail[-LAST_LINES:]]
    lines += [Text(f"  hint: {line}") for line in event.hint.splitlines()]
    return lines
