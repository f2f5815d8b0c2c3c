"""A run in words: what an event says, how far bytes are, how a node ended. Pure; CLI and TUI say the same."""

from __future__ import annotations

from types import MappingProxyType

from fleet.control.watch.flow import Flow
from fleet.control.watch.statewords import Told, Tone
from fleet.vocabulary.contracts.events import Outcome, Phase, RunEvent
from fleet.vocabulary.units import bytes_text, seconds_text

OUTCOMES = MappingProxyType(
    {
        Outcome.UNCHANGED: Told("=", "=", "unchanged", Tone.DIM),
        Outcome.CHANGED: Told("✓", "+", "changed", Tone.OK),
        Outcome.REVERTED: Told("↩", "<", "reverted", Tone.WARN),
        Outcome.FAILED: Told("✗", "X", "failed", Tone.CRITICAL),
        Outcome.UNREACHABLE: Told("∅", "o", "unreachable", Tone.CRITICAL),
        Outcome.SKIPPED: Told("·", ".", "skipped", Tone.DIM),
    }
)
STEPS = MappingProxyType(
    {
        "bootstrap": "start",
        "rebootstrap": "restart",
        "restart": "restart",
        "reload": "reload",
        "bootout": "stop",
        "cure": "start again",
        "run": "run",
        "wait": "wait",
    }
)
"""What a step does to a daemon, as a plan says it."""
_MEANWHILE = MappingProxyType(
    {
        Phase.CHECK: "what is there, what should be",
        Phase.STAGE: "unpack and verify; nothing live changes yet",
        Phase.DRAIN: "no new work; what runs may end",
    }
)
_STEPPING = (Phase.APPLY, Phase.REVERT)


def event_words(event: RunEvent) -> str:
    """What an event says, in the words of the plan."""
    if event.phase in _STEPPING:
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
    name = noun.removeprefix("daemon ") if action in STEPS else noun
    return f"{STEPS.get(action, action)} {name}" + (f": {why}" if why else "")


def meanwhile(phase: Phase) -> str:
    """What goes on in a phase that says nothing by itself."""
    return _MEANWHILE.get(phase, "")


def share_text(done: int, total: int) -> str:
    """So much of so much: `88.7 of 512 MiB`, `900 KiB of 2.0 GiB`."""
    first, second = bytes_text(done), bytes_text(total)
    number, _, unit = first.partition(" ")
    return f"{number if second.endswith(f' {unit}') else first} of {second}"


def far_words(flow: Flow, words: str, now: float, *, roomy: bool, between: str) -> str:
    """How far, how fast where there is room, how long it takes yet, and what `words` say."""
    parts = [share_text(flow.done, flow.total)]
    left = flow.left_seconds(now)
    if flow.stalled(now):
        parts.append("nothing comes")
    elif flow.done < flow.total:
        if roomy and flow.rate:
            parts.append(f"{bytes_text(int(flow.rate))}/s")
        if left is not None:
            parts.append(f"{took_text(left)} left")
    if words:
        parts.insert(0 if roomy else len(parts), words)  # what is cut off at the end is missed least
    return between.join(parts)


def took_text(seconds: float) -> str:
    """Whole seconds while they pass: what changes ten times a second is no comfort."""
    return f"{int(seconds)} s" if seconds < 60 else seconds_text(seconds)
