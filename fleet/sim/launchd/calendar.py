"""StartCalendarInterval: when a job is due next, in the Mac's own time (launchd.plist(5)). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

Entry = Mapping[str, int]
"""`Minute`, `Hour`, `Day`, `Weekday` (0 and 7 are Sunday), `Month`; what is missing is any."""

_KEYS = ("Minute", "Hour", "Day", "Weekday", "Month")
_LONGEST_DAYS = 8 * 366
"""A 29 February comes again within eight years."""


def entries_of(value: object) -> tuple[Entry, ...]:
    """Of a plist: one dict or several. What is no number is passed over."""
    found = value if isinstance(value, list) else [value]
    return tuple(
        {key: one[key] for key in _KEYS if isinstance(one.get(key), int)} for one in found if isinstance(one, dict)
    )


def next_time(entries: Iterable[Entry], after: datetime) -> datetime | None:
    """The first minute after `after` (local, without a zone) that any entry names; None when there is none."""
    return min((found for entry in entries if (found := _next(entry, after)) is not None), default=None)


def _next(entry: Entry, after: datetime) -> datetime | None:
    first = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    for ahead in range(_LONGEST_DAYS):
        day = first.date() + timedelta(days=ahead)
        if not _named(entry, day):
            continue
        for hour in _each(entry, "Hour", 24):
            for minute in _each(entry, "Minute", 60):
                found = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 (a Mac's own time)
                if found >= first:
                    return found
    return None


def _each(entry: Entry, key: str, many: int) -> Iterable[int]:
    return (entry[key],) if key in entry and entry[key] in range(many) else () if key in entry else range(many)


def _named(entry: Entry, day: date) -> bool:
    """Day and Weekday together: either will do."""
    if entry.get("Month", day.month) != day.month:
        return False
    of_month = entry.get("Day") == day.day
    of_week = entry.get("Weekday", -1) % 7 == day.isoweekday() % 7 if "Weekday" in entry else False
    if "Day" in entry and "Weekday" in entry:
        return of_month or of_week
    return (of_month or "Day" not in entry) and (of_week or "Weekday" not in entry)
