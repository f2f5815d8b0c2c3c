"""Which month and which week an instant belongs to, and what a week may cost. Pure.

Instants are milliseconds of UTC. A budget's month is the calendar month of its time zone; a week is the ISO week in UTC
(Monday 00:00 to Monday 00:00), and a day of a week is a UTC day.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

DAY_MILLISECONDS = 86_400_000
WEEK_MILLISECONDS = 7 * DAY_MILLISECONDS
_FIRST_MONDAY = date(1969, 12, 29)
_BEFORE_EPOCH_DAYS = 3
_NEVER_LAST_DAY = 27


class NotAZone(ValueError):
    """A name that is no time zone; the message says why."""


class Month(NamedTuple):
    """A calendar month."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def days(self) -> int:
        """How many days it has."""
        return monthrange(self.year, self.month)[1]

    @property
    def next(self) -> Month:
        """The one after it."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def previous(self) -> Month:
        """The one before it."""
        return Month(self.year - (self.month == 1), (self.month - 2) % 12 + 1)


class Week(NamedTuple):
    """An ISO week, as the number of Mondays since the one before 1970."""

    number: int

    def __str__(self) -> str:
        year, week, _ = self.monday.isocalendar()
        return f"{year:04d}-W{week:02d}"

    @property
    def monday(self) -> date:
        """Its first day."""
        return _FIRST_MONDAY + timedelta(weeks=self.number)

    @property
    def starts(self) -> int:
        """Its first millisecond."""
        return self.number * WEEK_MILLISECONDS - _BEFORE_EPOCH_DAYS * DAY_MILLISECONDS

    @property
    def ends(self) -> int:
        """The first millisecond after it."""
        return self.starts + WEEK_MILLISECONDS

    @property
    def previous(self) -> Week:
        """The one before it."""
        return Week(self.number - 1)


def week_of(at_milliseconds: int) -> Week:
    """The ISO week, in UTC."""
    return Week((at_milliseconds // DAY_MILLISECONDS + _BEFORE_EPOCH_DAYS) // 7)


def allotment_pico(week: Week, cap_pico: Callable[[int], int]) -> int:
    """What a week may cost: for each of its days, that day's cap over the days of that day's month. Rounded down.

    `cap_pico(at_milliseconds)` is the monthly cap in force at an instant; a day counts what is in force when it ends.
    """
    total = Fraction(0)
    for day in range(7):
        last = week.starts + (day + 1) * DAY_MILLISECONDS - 1
        when = week.monday + timedelta(days=day)
        total += Fraction(cap_pico(last), Month(when.year, when.month).days)
    return total.numerator // total.denominator


@dataclass(frozen=True, slots=True)
class BudgetCalendar:
    """The months and days of a budget in its time zone. Months follow each other without a gap, whatever DST does."""

    zone: ZoneInfo

    @classmethod
    def of(cls, name: str) -> BudgetCalendar:
        """Of a zone as `Europe/Berlin`. Raises NotAZone."""
        try:
            return cls(ZoneInfo(name))
        except (ValueError, OSError, KeyError):
            raise NotAZone(f'"{name}" is not a time zone: write one as "UTC" or "Europe/Berlin"') from None

    def month(self, at_milliseconds: int) -> Month:
        """The month that an instant is in."""
        return _month_of(self, at_milliseconds // 1000)  # asked several times for every request

    def found_month(self, at_milliseconds: int) -> Month:
        """The same, worked out anew."""
        local = self._local(at_milliseconds)
        month = Month(local.year, local.month)
        if local.day > _NEVER_LAST_DAY and at_milliseconds >= self.starts(month.next):
            return month.next  # a clock that goes back over midnight does not go back into a month that is over
        return month

    def starts(self, month: Month) -> int:
        """Its first millisecond."""
        return int(datetime(month.year, month.month, 1, tzinfo=self.zone).timestamp()) * 1000

    def ends(self, month: Month) -> int:
        """The first millisecond after it."""
        return self.starts(month.next)

    def day(self, at_milliseconds: int) -> int:
        """The day within its month, from 1."""
        local = self._local(at_milliseconds)
        return local.day if self.month(at_milliseconds) == (local.year, local.month) else 1

    def shown(self, at_milliseconds: int) -> str:
        """For people: `2026-12-01 00:00 CET`."""
        return f"{self._local(at_milliseconds):%Y-%m-%d %H:%M %Z}"

    def _local(self, at_milliseconds: int) -> datetime:
        return datetime.fromtimestamp(at_milliseconds // 1000, self.zone)


@lru_cache(maxsize=1024)
def _month_of(calendar: BudgetCalendar, at_seconds: int) -> Month:
    """Months begin at whole seconds."""
    return calendar.found_month(at_seconds * 1000)
