"""What still has to be posted: in order, bounded, tried again with growing gaps. Pure; kept on disk whole.

A letter leaves when the receiver took it, when the receiver will never take it (`refused`), or when it is too old or
one too many (`dropped`). The first one is tried until it leaves: an end never overtakes its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fleet.vocabulary.contracts.notice import Notice

MOST_LETTERS = 500
LONGEST_AGE_SECONDS = 24 * 3600.0
FIRST_GAP_SECONDS = 2.0
LONGEST_GAP_SECONDS = 300.0
NEVER_TAKEN = frozenset({400, 413, 415, 422})
"""Statuses by which a receiver says that this very letter is wrong: it would be so tomorrow."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A notice on its way. `due_seconds` is when it may be tried next."""

    notice: Notice
    made_seconds: float
    due_seconds: float = 0.0
    tries: int = 0


class Outbox(msgspec.Struct, frozen=True, kw_only=True):
    """The letters, the oldest first; and what became of those that left."""

    letters: tuple[Letter, ...] = ()
    delivered_total: int = 0
    failed_total: int = 0
    refused_total: int = 0
    dropped_total: int = 0

    def add(self, notices: Iterable[Notice], now_seconds: float) -> Outbox:
        """With more to post. One that is there already is not added; beyond the bound the oldest are dropped."""
        known = {letter.notice.id for letter in self.letters}
        letters = list(self.letters)
        for notice in notices:
            if notice.id not in known:
                known.add(notice.id)
                letters.append(Letter(notice=notice, made_seconds=now_seconds))
        over = max(0, len(letters) - MOST_LETTERS)
        return msgspec.structs.replace(self, letters=tuple(letters[over:]), dropped_total=self.dropped_total + over)

    def fresh(self, now_seconds: float) -> Outbox:
        """Without those that are too old to tell anybody."""
        kept = tuple(one for one in self.letters if now_seconds - one.made_seconds <= LONGEST_AGE_SECONDS)
        dropped = len(self.letters) - len(kept)
        if not dropped:
            return self
        return msgspec.structs.replace(self, letters=kept, dropped_total=self.dropped_total + dropped)

    def wait_seconds(self, now_seconds: float) -> float | None:
        """How long until the first one may be tried; None = there is none."""
        if not self.letters:
            return None
        wait = self.letters[0].due_seconds - now_seconds
        return wait if 0 < wait <= LONGEST_GAP_SECONDS else 0.0  # more: the clock was set back

    def delivered(self, notice_id: str) -> Outbox:
        """The receiver took it."""
        return self._without(notice_id, delivered_total=self.delivered_total + 1)

    def refused(self, notice_id: str) -> Outbox:
        """The receiver will never take it."""
        return self._without(notice_id, refused_total=self.refused_total + 1)

    def failed(self, notice_id: str, now_seconds: float, *, after_seconds: float | None = None) -> Outbox:
        """It did not get there: tried again later, not before the receiver asked for it (within bounds)."""
        return msgspec.structs.replace(
            self,
            failed_total=self.failed_total + 1,
            letters=tuple(
                _later(one, now_seconds, after_seconds) if one.notice.id == notice_id else one for one in self.letters
            ),
        )

    def _without(self, notice_id: str, **counted: int) -> Outbox:
        kept = tuple(one for one in self.letters if one.notice.id != notice_id)
        return msgspec.structs.replace(self, letters=kept, **counted)


def gap_seconds(tries: int) -> float:
    """How long to wait after so many tries that failed."""
    return float(min(FIRST_GAP_SECONDS * 2.0 ** min(max(0, tries - 1), 16), LONGEST_GAP_SECONDS))


def _later(letter: Letter, now_seconds: float, after_seconds: float | None) -> Letter:
    gap = gap_seconds(letter.tries + 1)
    if after_seconds is not None:
        gap = min(max(gap, after_seconds), LONGEST_GAP_SECONDS)
    return msgspec.structs.replace(letter, tries=letter.tries + 1, due_seconds=now_seconds + gap)
