"""Which incidents are open: a function of the notes of the ledger. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fleet.vocabulary.contracts.ledger import Note

OPENED = "incident_open"
CLOSED = "incident_closed"


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident that is open. `until`: when it lapses by itself (milliseconds of UTC); None = when it is closed."""

    name: str
    since: int
    until: int | None = None
    by: str = ""


def open_incidents(notes: Iterable[Note], at_milliseconds: int) -> dict[str, Incident]:
    """Those that are open at an instant, from notes in any order. Of notes of one instant, closed is the last word."""
    known = [note for note in notes if note.kind in (OPENED, CLOSED) and note.at_milliseconds <= at_milliseconds]
    known.sort(key=lambda note: (note.at_milliseconds, note.kind == CLOSED, note.id))
    found: dict[str, Incident] = {}
    for note in known:
        found.pop(note.subject, None)
        if note.kind == OPENED and (note.until_milliseconds is None or note.until_milliseconds > at_milliseconds):
            found[note.subject] = Incident(note.subject, note.at_milliseconds, note.until_milliseconds, note.by)
    return found
