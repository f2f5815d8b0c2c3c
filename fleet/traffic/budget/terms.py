"""Under which terms the dollar track was, and when: a function of the configuration and of the ledger's notes. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import msgspec

from fleet.traffic.budget.exact import exact
from fleet.traffic.policy import DollarTerms
from fleet.vocabulary.contracts.ledger import Note
from fleet.vocabulary.money import pico

TERMS = "terms"
DOLLAR_CAP = "dollar"
_FACTOR_MOST = 100


@dataclass(frozen=True, slots=True)
class Terms:
    """The dollar track's terms, as far as they are this front's, in force from `since` (milliseconds of UTC) on.

    `overrun` is exact: a week over `overrun` times its allotment is an overrun.
    """

    since: int
    cap_pico: int
    ceiling_pico: int
    overrun: Fraction

    @classmethod
    def of(cls, dollar: DollarTerms, *, budget_share: str, since: int) -> Terms:
        """What the configuration says. Raises NotExact, NotMoney."""
        share = exact(budget_share, most=1)
        cap = pico(dollar.monthly_usd) * share.numerator // share.denominator
        ceiling = exact(dollar.ceiling, most=_FACTOR_MOST)
        return cls(
            since=since,
            cap_pico=cap,
            ceiling_pico=max(cap, cap * ceiling.numerator // ceiling.denominator),
            overrun=exact(dollar.overrun, most=_FACTOR_MOST),
        )

    def same_as(self, other: Terms) -> bool:
        """Whether both say the same, whenever they came into force."""
        mine = (self.cap_pico, self.ceiling_pico, self.overrun)
        return mine == (other.cap_pico, other.ceiling_pico, other.overrun)

    def note(self, by: str = "") -> Note:
        """The row that says they came into force."""
        said = _Said(cap=self.cap_pico, ceiling=self.ceiling_pico, overrun=str(self.overrun))
        return Note(
            id=f"{TERMS}/{DOLLAR_CAP}/{self.since}",
            kind=TERMS,
            subject=DOLLAR_CAP,
            at_milliseconds=self.since,
            by=by,
            data=msgspec.json.encode(said).decode(),
        )


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """The data of the note: pico-dollars, and a fraction as text."""

    cap: int
    ceiling: int
    overrun: str


@dataclass(frozen=True, slots=True)
class TermsHistory:
    """All terms that were in force, the oldest first; never empty."""

    all: tuple[Terms, ...]

    @classmethod
    def of(cls, notes: Iterable[Note], current: Terms) -> TermsHistory:
        """From the ledger's notes in any order, then `current` if it says something new. Odd notes are passed over."""
        history = [terms for terms in terms_of(notes) if terms.since <= current.since]
        if not history or not history[-1].same_as(current):
            history.append(current)
        return cls(tuple(history))

    @property
    def newest(self) -> Terms:
        """What is in force now."""
        return self.all[-1]

    def at(self, at_milliseconds: int) -> Terms:
        """What was in force at an instant; before all terms, the first."""
        return self.all[max(bisect_right(self.all, at_milliseconds, key=lambda terms: terms.since) - 1, 0)]


def terms_of(notes: Iterable[Note]) -> tuple[Terms, ...]:
    """What the notes of a ledger say, the oldest first."""
    found = {terms.since: terms for note in notes if (terms := _read(note)) is not None}
    return tuple(found[since] for since in sorted(found))


def _read(note: Note) -> Terms | None:
    if note.kind != TERMS or note.subject != DOLLAR_CAP:
        return None
    try:
        said = msgspec.json.decode(note.data, type=_Said)
        overrun = Fraction(said.overrun)
    except (msgspec.DecodeError, ValueError, ZeroDivisionError):
        return None
    return Terms(note.at_milliseconds, said.cap, said.ceiling, overrun)
