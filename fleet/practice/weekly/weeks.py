"""Which week a report is about, and in which words weeks are told. ISO weeks in UTC. Pure."""

from __future__ import annotations

import re
from datetime import date, timedelta

from fleet.traffic.budget.calendar import DAY_MILLISECONDS, Week, week_of

_WEEK = re.compile(r"(\d{4})-W(\d{2})")
_FIRST_YEAR = 1970


class NotAWeek(ValueError):
    """A text that is no ISO week; the message says why."""


def parse_week(text: str) -> Week:
    """`2026-W47`. Raises NotAWeek."""
    found = _WEEK.fullmatch(text)
    try:
        if found is None or int(found[1]) < _FIRST_YEAR:
            raise ValueError
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
    except ValueError:
        raise NotAWeek(f"{text!r} is no ISO week: write it as 2026-W47") from None
    return week_of(((monday - date(1970, 1, 1)).days) * DAY_MILLISECONDS)


def last_whole_week(now_milliseconds: int) -> Week:
    """The one that ended last."""
    return week_of(now_milliseconds).previous


def week_after(week: Week) -> Week:
    """The next one."""
    return Week(week.number + 1)


def days_of(week: Week) -> tuple[date, ...]:
    """Monday to Sunday."""
    return tuple(week.monday + timedelta(days=number) for number in range(7))


def day_bounds(day: date) -> tuple[int, int]:
    """Its first millisecond of UTC, and the first one after it."""
    starts = (day - date(1970, 1, 1)).days * DAY_MILLISECONDS
    return starts, starts + DAY_MILLISECONDS


def told(week: Week) -> str:
    """`16-22 November 2026`, with both months or years where they differ."""
    first, last = days_of(week)[0], days_of(week)[-1]
    if first.year != last.year:
        return f"{first.day} {first:%B %Y} - {last.day} {last:%B %Y}"
    if first.month != last.month:
        return f"{first.day} {first:%B} - {last.day} {last:%B %Y}"
    return f"{first.day}-{last.day} {last:%B %Y}"
