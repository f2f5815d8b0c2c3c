"""Whether a pool may be used at all: a function of the notes of the ledger, so it outlives every restart. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from fleet.traffic.gray.reasons import NotGray
from fleet.vocabulary.contracts.ledger import Note

ENABLED = "gray_enabled"
DISABLED = "gray_disabled"
ROLLED_BACK = "gray_rolled_back"
_RANK = {ENABLED: 0, DISABLED: 1, ROLLED_BACK: 2}


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one gray route at an instant. `reason` is None while it may be used; `note` is what decided it."""

    reason: NotGray | None = None
    note: Note | None = None


class _Why(msgspec.Struct, frozen=True):
    """The data of a note, as far as it is looked at: `{"reason": "gone"}`."""

    reason: str = ""


def standing(notes: Iterable[Note], route: str, at_milliseconds: int) -> Standing:
    """The last note decides, in whatever order they come; of notes of one instant the stricter. None: it may be used.

    A note that has lapsed says nothing any more. `gray_disabled` may carry a reason in its data: `gone`, `suspended`.
    """
    known = [
        note
        for note in notes
        if note.kind in _RANK
        and note.subject == route
        and note.at_milliseconds <= at_milliseconds
        and (note.until_milliseconds is None or note.until_milliseconds > at_milliseconds)
    ]
    if not known:
        return Standing()
    last = max(known, key=lambda note: (note.at_milliseconds, _RANK[note.kind], note.id))
    return Standing(_reason(last), last)


def _reason(note: Note) -> NotGray | None:
    if note.kind == ENABLED:
        return None
    if note.kind == ROLLED_BACK:
        return NotGray.ROLLED_BACK
    try:
        said = msgspec.json.decode(note.data, type=_Why).reason
    except msgspec.DecodeError:
        said = ""
    return NotGray(said) if said in (NotGray.GONE, NotGray.SUSPENDED) else NotGray.OFF
