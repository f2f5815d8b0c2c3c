"""Sessions that a hit has marked: what was derived from a secret may stay in a conversation after the secret is gone.

A function of the ledger's `taint` notes; sessions are in them by a hash. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from fleet.vocabulary.contracts.ledger import Note
from fleet.vocabulary.names import Sensitivity

TAINT = "taint"
_DAY_MILLISECONDS = 24 * 60 * 60 * 1000
_SWEEP_EVERY = 1024


class _Data(msgspec.Struct, frozen=True, kw_only=True):
    label: Sensitivity = Sensitivity.SENSITIVE
    rules: tuple[str, ...] = ()


def session_hash(key: str, session: str) -> str:
    """The name of a session of `key` in the ledger: 32 hex digits. Two keys share no session."""
    return hashlib.sha256(f"{len(key)}:{key}{session}".encode(errors="replace")).hexdigest()[:32]


def taint_note(
    subject: str, *, label: Sensitivity, rules: Iterable[str], now_milliseconds: int, days: int, by: str = "scan"
) -> Note:
    """The note that marks the session `subject` (a session_hash) for `days`. The same within a millisecond is one."""
    return Note(
        id=f"{TAINT}/{subject}/{now_milliseconds}",
        kind=TAINT,
        subject=subject,
        at_milliseconds=now_milliseconds,
        by=by,
        until_milliseconds=now_milliseconds + days * _DAY_MILLISECONDS,
        data=msgspec.json.encode(_Data(label=label, rules=tuple(rules))).decode(),
    )


class Taints:
    """The marks that hold, of all notes that it was given. Marks that lapsed are dropped."""

    def __init__(self, notes: Iterable[Note] = ()) -> None:
        self._marks: dict[str, dict[Sensitivity, int | None]] = {}
        self._since_sweep = 0
        for note in notes:
            self.apply(note)

    def __len__(self) -> int:
        """How many sessions are held."""
        return len(self._marks)

    def apply(self, note: Note) -> None:
        """One more note; those of other kinds are none of its business. Order and repetition do not matter."""
        if note.kind != TAINT:
            return
        marks = self._marks.setdefault(note.subject, {})
        label = _label(note.data)
        known = marks.get(label, 0)
        until = note.until_milliseconds
        marks[label] = None if until is None or known is None else max(known, until)
        self._since_sweep += 1
        if self._since_sweep >= _SWEEP_EVERY:
            self._since_sweep = 0
            self._sweep(note.at_milliseconds)

    def label(self, subject: str, now_milliseconds: int) -> Sensitivity | None:
        """The highest mark of the session that has not lapsed."""
        marks = self._marks.get(subject)
        if not marks:
            return None
        held = (label for label, until in marks.items() if until is None or until > now_milliseconds)
        return max(held, key=lambda label: label.rank, default=None)

    def _sweep(self, now_milliseconds: int) -> None:
        self._marks = {
            subject: marks
            for subject, marks in self._marks.items()
            if any(until is None or until > now_milliseconds for until in marks.values())
        }


def _label(data: str) -> Sensitivity:
    """What the note makes of its session; one that nobody can read marks all the same."""
    try:
        return msgspec.json.decode(data, type=_Data).label
    except msgspec.DecodeError:
        return Sensitivity.SENSITIVE
