"""Which week a page says that it is of: `2026-W21`, `18-24 May 2026`, `29 June - 5 July 2026`. Total. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta

from fleet.practice.rankings.week import NotAWeek, Week

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"([A-Z][a-z]{2,8})\.?"
_NAMED = re.compile(r"\b(\d{4}-W\d{2})\b")
_SPAN = re.compile(rf"\b(\d{{1,2}})(?: {_MONTH}(?: (\d{{4}}))?)?\s*[-\u2013\u2014]\s*(\d{{1,2}}) {_MONTH} (\d{{4}})\b")


def said_week(text: str) -> Week | None:
    """The one week that `text` speaks of; None when it names none, or several. Days must be Monday to Sunday."""
    found = {*_named(text), *_spans(text)}
    return found.pop() if len(found) == 1 else None


def _named(text: str) -> Iterator[Week]:
    for found in _NAMED.finditer(text):
        try:
            yield Week.named(found[1])
        except NotAWeek:
            continue


def _spans(text: str) -> Iterator[Week]:
    for found in _SPAN.finditer(text):
        last = _day(found[4], found[5], found[6])
        first = _day(found[1], found[2] or found[5], found[3] or found[6])
        if last is not None and first is not None and first.weekday() == 0 and last - first == timedelta(days=6):
            yield Week.of(first)


def _day(day: str, month: str, year: str) -> date | None:
    head = month[:3].lower()
    if head not in _MONTHS:
        return None
    try:
        return date(int(year), _MONTHS.index(head) + 1, int(day))
    except ValueError:
        return None
