"""The dollar track (SPEC section 5.5): its state as a function of rows and terms, and what becomes of a request. Pure.

Amounts are this front's part of each. An incident's spending counts like any other: only who may still spend differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleet.traffic.budget.book import Book
from fleet.traffic.budget.calendar import Month, Week, allotment_pico, week_of
from fleet.traffic.budget.limits import Kind, Scope
from fleet.traffic.budget.terms import TermsHistory
from fleet.vocabulary.names import Track

DOLLAR = Scope(Kind.TRACK, Track.DOLLAR.value)


class DollarWord(StrEnum):
    """What requests without an incident may do: spend, nothing until the month ends, nothing until Monday."""

    NORMAL = "normal"
    CAPPED = "capped"
    DOWNGRADED = "downgraded"


@dataclass(frozen=True, slots=True)
class Overrun:
    """A week that cost too much, and by which measure: the week's allotment, or its month's cap. Pico-dollars."""

    week: Week
    month: Month | None
    spent_pico: int
    allowed_pico: int


@dataclass(frozen=True, slots=True)
class DollarState:
    """The state at an instant. `until` (milliseconds of UTC) is when it ends by itself; None for normal."""

    word: DollarWord
    until: int | None = None
    overrun: Overrun | None = None


def overrun_of(book: Book, history: TermsHistory, week: Week) -> Overrun | None:
    """How a week that is over overran, if it did. Judged once, when it ends: what becomes known later is the next's.

    Either it cost more than `overrun` times its allotment, or a month that has a day in it had cost more than `overrun`
    times its cap by the end of the week.
    """
    spent = book.week_pico(Track.DOLLAR, week)
    factor = history.at(week.ends - 1).overrun
    allotted = allotment_pico(week, lambda at: history.at(at).cap_pico)
    if spent * factor.denominator > allotted * factor.numerator:
        return Overrun(week, None, spent, allotted * factor.numerator // factor.denominator)
    calendar = book.calendar
    for month in dict.fromkeys((calendar.month(week.starts), calendar.month(week.ends - 1))):
        terms = history.at(min(week.ends, calendar.ends(month)) - 1)
        spent = book.known_pico(Track.DOLLAR, month, week)
        if spent * terms.overrun.denominator > terms.cap_pico * terms.overrun.numerator:
            allowed = terms.cap_pico * terms.overrun.numerator // terms.overrun.denominator
            return Overrun(week, month, spent, allowed)
    return None


def dollar_state(book: Book, history: TermsHistory, at_milliseconds: int) -> DollarState:
    """The state at `at_milliseconds`, which is not before what the book has seen.

    A state of the past is the same function of a book of the rows until then: a later row never moves it. Capped and
    downgraded at once is told as the one that lasts longer.
    """
    month, week = book.calendar.month(at_milliseconds), week_of(at_milliseconds)
    overrun = overrun_of(book, history, week.previous)
    month_ends = book.calendar.ends(month)
    capped = book.sum(DOLLAR, month).committed >= history.at(at_milliseconds).cap_pico
    if capped and (overrun is None or month_ends >= week.ends):
        return DollarState(DollarWord.CAPPED, month_ends, overrun)
    if overrun is not None:
        return DollarState(DollarWord.DOWNGRADED, week.ends, overrun)
    return DollarState(DollarWord.NORMAL)
