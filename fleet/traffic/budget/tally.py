"""The sums that a book keeps: by scope and month, by ticket for ever, by the week in which a cost became known. Pure.

Its size follows what has a name (keys, tickets, months), not how many requests there were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from fleet.traffic.budget.calendar import BudgetCalendar, Month, Week, week_of
from fleet.traffic.budget.limits import FLEET, Kind, Scope, Sum
from fleet.vocabulary.contracts.ledger import Owner
from fleet.vocabulary.names import Track

_WEEKS_KEPT = 10


@dataclass(slots=True)
class _Cell:
    spent: int = 0
    reserved: int = 0
    tokens: int = 0
    held_tokens: int = 0

    def shown(self) -> Sum:
        return Sum(self.spent, self.reserved, self.tokens, self.held_tokens)

    @property
    def empty(self) -> bool:
        return not (self.spent or self.reserved or self.tokens or self.held_tokens)


@lru_cache(maxsize=4096)
def scopes_of(owner: Owner, track: Track, ticket: str = "", incident: str = "") -> tuple[Scope, ...]:
    """All that a row counts for."""
    found = [FLEET, Scope(Kind.TRACK, track.value), Scope(Kind.KEY, owner.key)]
    if owner.person:
        found.append(Scope(Kind.PERSON, owner.person))
    if owner.team:
        found.append(Scope(Kind.TEAM, owner.team))
    if ticket:
        found.append(Scope(Kind.TICKET, ticket))
    if incident:
        found.append(Scope(Kind.INCIDENT, incident))
    return tuple(found)


class Tally:
    """Adds up; what it is told to take away it must have been told to add. `tickets` are sums from before."""

    def __init__(self, calendar: BudgetCalendar, tickets: Mapping[str, int]) -> None:
        self._calendar = calendar
        self._cells: dict[tuple[Month, Scope], _Cell] = {}
        self._forever = {Scope(Kind.TICKET, name): _Cell(spent=pico) for name, pico in tickets.items()}
        self._known: dict[tuple[Track, Month, Week], int] = {}
        self._days: dict[tuple[Track, Month, int], int] = {}

    def of(self, scope: Scope, month: Month) -> Sum:
        """The sum of a scope in a month."""
        cell = self._cells.get((month, scope))
        return cell.shown() if cell is not None else Sum()

    def forever(self, scope: Scope) -> Sum:
        """The sum of a ticket over all months."""
        cell = self._forever.get(scope)
        return cell.shown() if cell is not None else Sum()

    def scopes(self, month: Month) -> Iterator[tuple[Scope, Sum]]:
        """All that has a sum in a month."""
        return ((scope, cell.shown()) for (when, scope), cell in self._cells.items() if when == month)

    def move(
        self,
        scopes: Iterable[Scope],
        month: Month,
        *,
        spent: int = 0,
        reserved: int = 0,
        tokens: int = 0,
        held_tokens: int = 0,
    ) -> None:
        """Count this much more (or less) for each of `scopes`."""
        for scope in scopes:
            cell = self._cells.get((month, scope))
            if cell is None:
                cell = self._cells[month, scope] = _Cell()
            cell.spent += spent
            cell.reserved += reserved
            cell.tokens += tokens
            cell.held_tokens += held_tokens
            if scope.kind is Kind.TICKET:
                whole = self._forever.get(scope)
                if whole is None:
                    whole = self._forever[scope] = _Cell()
                whole.spent += spent
                whole.reserved += reserved

    def know(self, track: Track, booked_at: int, known_at: int, pico: int) -> None:
        """A cost of what was booked at one instant became known at another."""
        month = self._calendar.month(booked_at)
        week = (track, month, week_of(known_at))
        self._known[week] = self._known.get(week, 0) + pico
        day = (track, month, self._calendar.day(booked_at))
        self._days[day] = self._days.get(day, 0) + pico

    def week_pico(self, track: Track, week: Week) -> int:
        """What became known of a track's cost in a week."""
        return sum(pico for (whose, _, when), pico in self._known.items() if whose is track and when == week)

    def known_pico(self, track: Track, month: Month, week: Week) -> int:
        """What was known of a track's cost in a month when a week ended."""
        return sum(
            pico
            for (whose, when, known), pico in self._known.items()
            if whose is track and when == month and known <= week
        )

    def daily_pico(self, month: Month, tracks: Iterable[Track]) -> tuple[int, ...]:
        """What is known of the cost of each day of a month; 0 where nothing was spent."""
        wanted = tuple(tracks)
        return tuple(
            sum(self._days.get((track, month, day), 0) for track in wanted) for day in range(1, month.days + 1)
        )

    def forget(self, before: Month) -> None:
        """Let go of the months before `before`, save what is still reserved in them, and of weeks long judged."""
        old = [key for key, cell in self._cells.items() if key[0] < before and not (cell.reserved or cell.held_tokens)]
        for cell_key in old:
            del self._cells[cell_key]
        for day_key in [key for key in self._days if key[1] < before]:
            del self._days[day_key]
        oldest = Week(week_of(self._calendar.starts(before)).number - _WEEKS_KEPT)
        for week_key in [key for key in self._known if key[1] < before and key[2] < oldest]:
            del self._known[week_key]

    @property
    def size(self) -> int:
        """How many sums it holds."""
        return len(self._cells) + len(self._forever) + len(self._known) + len(self._days)
