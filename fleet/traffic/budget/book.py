"""What was spent and promised: a sum over the rows of the ledger, never a counter of its own. Pure.

A book is a function of the set of its rows: the order in which they come, and how often, changes nothing. It is
rebuilt from the ledger when a gateway begins, and each row is added as it is written. All is synchronous: between the
check of a limit and the promise no other request can come.

Whose month, which week: an attempt counts in the month in which it was reserved, whenever its cost becomes known, so a
cap is never passed by what was promised the month before. A week counts what became known in it (docs/decisions/0017).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fleet.traffic.budget.calendar import BudgetCalendar, Month, Week
from fleet.traffic.budget.limits import FLEET, Kind, Limit, Scope, Sum
from fleet.traffic.budget.tally import Tally, scopes_of
from fleet.vocabulary.contracts.ledger import Adjustment, CostSource, Owner, Request, Reservation, Row, Settlement
from fleet.vocabulary.names import Track

_SOURCES = {source: rank for rank, source in enumerate(CostSource)}


@dataclass(slots=True)
class _Attempt:
    row: Reservation
    scopes: tuple[Scope, ...]
    month: Month
    settled: Settlement | None = None


@dataclass(slots=True)
class _Hold:
    scopes: tuple[Scope, ...]
    month: Month
    tokens: int


@dataclass(slots=True)
class _Early:
    """What came before the reservation that it is about."""

    settled: Settlement | None = None
    adjusted: list[Adjustment] = field(default_factory=list)


class Book:
    """The sums of one front's ledger. `tickets`: what each ticket spent in rows that this book is not given.

    Memory follows what is unsettled and what is younger than the last `fold`.
    """

    def __init__(self, calendar: BudgetCalendar, tickets: Mapping[str, int] | None = None) -> None:
        self.calendar = calendar
        self._tally = Tally(calendar, tickets or {})
        self._attempts: dict[str, _Attempt] = {}
        self._early: dict[str, _Early] = {}
        self._adjusted: dict[str, int] = {}
        self._requests: dict[str, int] = {}
        self._holds: dict[str, _Hold] = {}
        self._latest = 0
        self._horizon = 0

    # --- time ---------------------------------------------------------------------------------------------------------

    def now(self, wall_milliseconds: int) -> int:
        """The book's time: the wall clock's, and never earlier than what the book has seen.

        A book that is rebuilt has seen its rows, and no clock.
        """
        self._latest = max(self._latest, wall_milliseconds)
        return self._latest

    @property
    def latest(self) -> int:
        """The latest instant that the book has seen: of a row, or of the wall clock."""
        return self._latest

    # --- rows ---------------------------------------------------------------------------------------------------------

    def add(self, row: Row, attempt: Reservation | None = None) -> bool:
        """Count a row of the ledger; False when it changes nothing: it was counted before, or no sum is about it.

        `attempt` is the reservation that an Adjustment is of, where the book may have folded it.
        """
        match row:
            case Reservation():
                changed = self._reserved(row)
            case Settlement():
                changed = self._settled(row)
            case Adjustment():
                changed = self._corrected(row, attempt)
            case Request():
                changed = self._ended(row)
            case _:
                changed = False
        self._latest = max(self._latest, row.at_milliseconds)
        return changed

    def reserve(self, row: Reservation, limits: Iterable[Limit] = ()) -> Limit | None:
        """Promise what `row` says, unless a limit stops it: then that limit, and nothing is changed.

        A row that is in the book already is promised already: None.
        """
        if row.id in self._attempts:
            return None
        limit = self.stopped(limits, row.pico, row.at_milliseconds)
        if limit is None:
            self.add(row)
        return limit

    def stopped(self, limits: Iterable[Limit], more_pico: int, at: int) -> Limit | None:
        """The first of `limits` that stops `more_pico` at an instant; None when all of them allow it."""
        month = self.calendar.month(at)
        return next((one for one in limits if one.stops_pico(self.bounded(one, month), more_pico)), None)

    def take_back(self, reservation_id: str) -> None:
        """Forget a promise whose row did not reach the ledger: nothing of the attempt went out."""
        attempt = self._attempts.pop(reservation_id, None)
        if attempt is not None and attempt.settled is None:
            self._tally.move(attempt.scopes, attempt.month, reserved=-attempt.row.pico)
        elif attempt is not None:
            self._attempts[reservation_id] = attempt

    def hold(
        self, request: str, *, owner: Owner, track: Track, tokens: int, at: int, limits: Iterable[Limit] = ()
    ) -> Limit | None:
        """Promise tokens to a request in flight, unless a limit stops it. Its Request row ends it, or `let_go`.

        Not a row: a process that dies has no requests in flight. Asked again for one request, the newer counts.
        """
        self.let_go(request)
        month = self.calendar.month(at)
        stopped = next((one for one in limits if one.stops_tokens(self.bounded(one, month), tokens)), None)
        if stopped is not None:
            return stopped
        hold = self._holds[request] = _Hold(scopes_of(owner, track), month, tokens)
        self._tally.move(hold.scopes, month, held_tokens=tokens)
        return None

    def let_go(self, request: str) -> None:
        """A request in flight will use no tokens any more."""
        hold = self._holds.pop(request, None)
        if hold is not None:
            self._tally.move(hold.scopes, hold.month, held_tokens=-hold.tokens)

    # --- sums ---------------------------------------------------------------------------------------------------------

    def sum(self, scope: Scope, month: Month) -> Sum:
        """What a scope spent, has promised and used in a month."""
        return self._tally.of(scope, month)

    def bounded(self, limit: Limit, month: Month) -> Sum:
        """What a limit looks at: the sum of its scope in a month, or for ever."""
        return self._tally.forever(limit.scope) if limit.forever else self._tally.of(limit.scope, month)

    def scopes(self, month: Month) -> Iterator[tuple[Scope, Sum]]:
        """All that has a sum in a month."""
        return self._tally.scopes(month)

    def ticket(self, name: str) -> Sum:
        """What a ticket spent and has promised, over all months."""
        return self._tally.forever(Scope(Kind.TICKET, name))

    def week_pico(self, track: Track, week: Week) -> int:
        """What became known of a track's cost in a week: settlements and adjustments, by their own time."""
        return self._tally.week_pico(track, week)

    def known_pico(self, track: Track, month: Month, week: Week) -> int:
        """What was known of a track's cost in a month when `week` ended."""
        return self._tally.known_pico(track, month, week)

    def daily_pico(self, month: Month, tracks: Iterable[Track] = tuple(Track)) -> tuple[int, ...]:
        """What is known of the cost of each day of a month, by the day of the reservation."""
        return self._tally.daily_pico(month, tracks)

    def unsettled(self) -> tuple[Reservation, ...]:
        """The promises whose cost nobody knows yet."""
        return tuple(attempt.row for attempt in self._attempts.values() if attempt.settled is None)

    @property
    def size(self) -> int:
        """How many rows and sums it holds, for the bound on its memory."""
        rows = len(self._attempts) + len(self._early) + len(self._adjusted) + len(self._requests) + len(self._holds)
        return rows + self._tally.size

    def fold(self, before_milliseconds: int) -> None:
        """Keep the sums of what is older, and forget its rows; they are not counted again when they come again.

        What is unsettled stays. Months before the one that came before the book's own are forgotten whole, save the
        sums of tickets. For instance: every hour, what is older than two.
        """
        self._horizon = horizon = max(self._horizon, before_milliseconds)
        self._attempts = {
            key: attempt
            for key, attempt in self._attempts.items()
            if attempt.settled is None
            or attempt.row.at_milliseconds >= horizon
            or attempt.settled.at_milliseconds >= horizon
        }
        self._requests = {key: at for key, at in self._requests.items() if at >= horizon}
        self._adjusted = {key: at for key, at in self._adjusted.items() if at >= horizon}
        self._tally.forget(self.calendar.month(min(horizon, self._latest)).previous)

    # --- one kind of row each -----------------------------------------------------------------------------------------

    def _reserved(self, row: Reservation) -> bool:
        if row.id in self._attempts or row.at_milliseconds < self._horizon:
            return False
        month = self.calendar.month(row.at_milliseconds)
        scopes = scopes_of(row.owner, row.track, row.ticket, row.incident)
        attempt = self._attempts[row.id] = _Attempt(row, scopes, month)
        self._tally.move(scopes, month, reserved=row.pico)
        early = self._early.pop(row.id, None)
        if early is not None:
            if early.settled is not None:
                self._settle(attempt, early.settled)
            for adjustment in early.adjusted:
                self._correct(adjustment, None, -1)
                self._correct(adjustment, row, 1)
        return True

    def _settled(self, row: Settlement) -> bool:
        attempt = self._attempts.get(row.id)
        if attempt is not None:
            return self._settle(attempt, row)
        if row.at_milliseconds < self._horizon:
            return False
        early = self._early.setdefault(row.id, _Early())
        if early.settled is None or _better(row, early.settled):
            early.settled = row
        return False

    def _settle(self, attempt: _Attempt, row: Settlement) -> bool:
        before = attempt.settled
        if before is not None and not _better(row, before):
            return False
        track, booked = attempt.row.track, attempt.row.at_milliseconds
        if before is None:
            self._tally.move(attempt.scopes, attempt.month, spent=row.pico, reserved=-attempt.row.pico)
        else:
            self._tally.move(attempt.scopes, attempt.month, spent=row.pico - before.pico)
            self._tally.know(track, booked, before.at_milliseconds, -before.pico)
        self._tally.know(track, booked, row.at_milliseconds, row.pico)
        attempt.settled = row
        return True

    def _corrected(self, row: Adjustment, given: Reservation | None) -> bool:
        if row.id in self._adjusted or row.at_milliseconds < self._horizon:
            return False
        self._adjusted[row.id] = row.at_milliseconds
        found = self._attempts.get(row.of)
        attempt = found.row if found is not None else given
        if attempt is None and row.of:
            self._early.setdefault(row.of, _Early()).adjusted.append(row)
        self._correct(row, attempt, 1)
        return True

    def _correct(self, row: Adjustment, attempt: Reservation | None, sign: int) -> None:
        """Of an attempt: for all that it counts for. Else for its track and the whole fleet, at its own time."""
        if attempt is None:
            scopes: tuple[Scope, ...] = (FLEET, Scope(Kind.TRACK, row.track.value))
            booked, track = row.at_milliseconds, row.track
        else:
            scopes = scopes_of(attempt.owner, attempt.track, attempt.ticket, attempt.incident)
            booked, track = attempt.at_milliseconds, attempt.track
        self._tally.move(scopes, self.calendar.month(booked), spent=sign * row.pico)
        self._tally.know(track, booked, row.at_milliseconds, sign * row.pico)

    def _ended(self, row: Request) -> bool:
        self.let_go(row.id)
        over = row.at_milliseconds + int(row.seconds * 1000)  # one that began before the horizon may end after it
        if row.id in self._requests or over < self._horizon:
            return False
        self._requests[row.id] = over
        tokens = (row.prompt_tokens or 0) + (row.completion_tokens or 0)
        if tokens:
            scopes = scopes_of(row.owner, row.track)
            self._tally.move(scopes, self.calendar.month(row.at_milliseconds), tokens=tokens)
        return True


def _better(row: Settlement, than: Settlement) -> bool:
    """Whether a settlement counts instead of another of the same attempt: by its source, then the earlier one."""
    return _rank(row) < _rank(than)


def _rank(row: Settlement) -> tuple[int, int, int]:
    return _SOURCES[row.source], row.at_milliseconds, row.pico
