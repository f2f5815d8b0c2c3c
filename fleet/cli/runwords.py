"""The events of a run in words for people. Pure."""

from __future__ import annotations

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
LAST_LINES = 20
_STEPS = (Phase.APPLY, Phase.REVERT)


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


def share_text(done: int, total: int) -> str:
    """So much of so much: `88.7 of 512 MiB`, `900 KiB of 2.0 GiB`."""
    first, second = bytes_text(done), bytes_text(total)
    number, _, unit = first.partition(" ")
    return f"{number if second.endswith(f' {unit}') else first} of {second}"


def event_words(event: RunEvent) -> str:
    """What an event says, in the words of the plan."""
    if event.phase in _STEPS:
        return step_words(event.text)
    if event.phase is Phase.DRAIN:
        noun, _, rest = event.text.partition(" · ")
        return f"{noun.removeprefix('daemon ')}: {rest}" if rest else event.text
    return event.text


def step_words(text: str) -> str:
    """A step as the plan says it: `daemon X · bootstrap · why` is `start X: why`."""
    noun, _, rest = text.partition(" · ")
    action, _, why = rest.partition(" · ")
    if not action:
        return text
    name = noun.removeprefix("daemon ") if action in WORDS else noun
    return f"{WORDS.get(action, action)} {name}" + (f": {why}" if why else "")
