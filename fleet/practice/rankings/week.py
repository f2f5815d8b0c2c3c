"""ISO weeks in UTC: `2026-W21`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

_NAME = re.compile(r"(\d{4})-?W(\d{1,2})", re.IGNORECASE)


class NotAWeek(ValueError):
    """A text that names no ISO week; the message says what one looks like."""


@dataclass(frozen=True, order=True, slots=True)
class Week:
    """An ISO week. Weeks compare by time; 2026-W53 is the week before 2027-W01."""

    year: int
    number: int

    @classmethod
    def of(cls, day: date) -> Week:
        """The week that `day` is in."""
        year, number, _ = day.isocalendar()
        return cls(year, number)

    @classmethod
    def named(cls, text: str) -> Week:
        """`2026-W21`. Raises NotAWeek."""
        found = _NAME.fullmatch(text.strip())
        if found is None:
            raise NotAWeek(f"{text!r} is no week: like 2026-W21")
        week = cls(int(found[1]), int(found[2]))
        try:
            date.fromisocalendar(week.year, week.number, 1)
        except ValueError:
            raise NotAWeek(f"{week.year} has no week {week.number}") from None
        return week

    @property
    def monday(self) -> date:
        """Its first day."""
        return date.fromisocalendar(self.year, self.number, 1)

    @property
    def sunday(self) -> date:
        """Its last day."""
        return self.monday + timedelta(days=6)

    @property
    def previous(self) -> Week:
        """The week before."""
        return Week.of(self.monday - timedelta(days=7))

    def __str__(self) -> str:
        return f"{self.year}-W{self.number:02d}"


def last_completed(today: date) -> Week:
    """The week that ended before `today`, a day in UTC."""
    return Week.of(today).previous
