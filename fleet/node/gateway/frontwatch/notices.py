"""Which transitions people are told by webhook, and in which words. Pure.

A notice says that a fault became critical, or that it is over. What lies between (a level less, a reading that fails)
is in the events, and wakes nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from fleet.vocabulary.contracts.notice import Notice
from fleet.vocabulary.health.state import Transition
from fleet.vocabulary.names import Health
from fleet.vocabulary.units import seconds_text

TOLD = frozenset(
    {
        *("node_unreachable", "agent_silent", "front_silent", "front_alone"),
        *("service_down", "service_pended", "crash_loop"),
        *("sidecar_dead", "sidecar_not_ready", "sidecar_cared", "golden_wrong"),
        *("memory_pressure", "disk_free", "rebooted"),
    }
)
"""Checks whose critical level is told. Of `sidecar_cared` that is a quarantine, of `rebooted` a panic."""
_LONGEST = 1000
_PLAIN = {ord("<"): "‹", ord(">"): "›"}  # a chat takes <!channel> as an order


class Open(msgspec.Struct, frozen=True, array_like=True):
    """A fault that was told and has not ended: its id, when it began, what it was."""

    fault: str
    began_seconds: float
    what: str


def sift(
    front: str, open_faults: Mapping[str, Open], transitions: Iterable[Transition]
) -> tuple[dict[str, Open], tuple[Notice, ...]]:
    """The faults that are open after these transitions, and what is told of them."""
    after, told = dict(open_faults), []
    for one in transitions:
        key = key_of(one.node, one.check, one.subject)
        known = after.get(key)
        if one.after is Health.CRITICAL and one.check in TOLD and known is None:
            known = after[key] = Open(_fault(front, one), one.began_seconds, _clean(one.text or one.check))
            told.append(_began(front, one, known))
        elif one.after in (Health.OK, Health.WARN) and known is not None:
            del after[key]
            told.append(_ended(front, one, known))
    return after, tuple(told)


def key_of(node: str, check: str, subject: str) -> str:
    """What makes two transitions be about one fault."""
    return "\n".join((node, check, subject))


def _began(front: str, one: Transition, fault: Open) -> Notice:
    words = [f"{one.node}: {fault.what}, since {_time(fault.began_seconds):%Y-%m-%d %H:%M:%S} UTC."]
    if one.next:
        words.append(f"Next: {_clean(one.next)}.")
    if one.do:
        words.append(f"Do: {_clean(one.do)}")
    return _notice(front, one, fault, state="began", text=" ".join(words))


def _ended(front: str, one: Transition, fault: Open) -> Notice:
    lasted = max(0.0, one.since_seconds - fault.began_seconds)
    now = "" if one.after is Health.OK else f" (now: {one.after.value})"
    return _notice(
        front, one, fault, state="ended", text=f"{one.node}: over after {seconds_text(lasted)}{now}: {fault.what}"
    )


def _notice(front: str, one: Transition, fault: Open, *, state: str, text: str) -> Notice:
    return Notice(
        id=f"{fault.fault}-{state}",
        fault=fault.fault,
        front=front,
        state=state,
        node=one.node,
        check=one.check,
        subject=one.subject,
        before=one.before,
        after=one.after,
        text=text,
        what=fault.what,
        next=_clean(one.next),
        do=_clean(one.do),
        since=_time(fault.began_seconds),
        at=_time(one.at_seconds),
    )


def _fault(front: str, one: Transition) -> str:
    """An id that the same fault has again when it is found again after a crash; no other fault has it."""
    written = "\n".join((front, key_of(one.node, one.check, one.subject), f"{one.began_seconds:.3f}"))
    return hashlib.sha256(written.encode("utf-8", "replace")).hexdigest()[:20]


def _clean(text: str) -> str:
    """One line without signs that a terminal or a chat obeys, and not too long: parts of it were said by nodes."""
    plain = "".join(char if char.isprintable() else " " for char in text).translate(_PLAIN)
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
