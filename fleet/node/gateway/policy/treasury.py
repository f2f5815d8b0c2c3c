"""The ledger of a front, and all that is a function of its rows: sums, notes, marks of sessions."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from fleet.node.gateway.ledger.ledger import Ledger
from fleet.node.gateway.ledger.queries import tickets_before
from fleet.node.gateway.ledger.store import said
from fleet.node.gateway.ledger.writer import LedgerClosed
from fleet.traffic.budget.book import Book
from fleet.traffic.budget.calendar import BudgetCalendar
from fleet.traffic.budget.incidents import CLOSED, OPENED, Incident, open_incidents
from fleet.traffic.budget.limits import Limit
from fleet.traffic.gray.standing import DISABLED, ENABLED, ROLLED_BACK, Standing, standing
from fleet.traffic.sensitivity.taint import Taints
from fleet.vocabulary.contracts.ledger import (
    Adjustment,
    CostSource,
    Note,
    Owner,
    Request,
    Reservation,
    Row,
    Settlement,
)
from fleet.vocabulary.names import Track

_GRAY = frozenset((ENABLED, DISABLED, ROLLED_BACK))
_INCIDENT = frozenset((OPENED, CLOSED))
_FOLD_SECONDS = 5.0
_REMEMBERED_MILLISECONDS = 5000
"""Rows are dated when they are written, so none that is older is still to come. Nothing unsettled is forgotten."""
_RETRY_SECONDS = 5.0
_RECENT_MILLISECONDS = 21 * 24 * 3600 * 1000


def _nobody(row: Request) -> None:
    """See Treasury."""


def wall_milliseconds() -> int:
    """UTC."""
    return time.time_ns() // 1_000_000


class Treasury:
    """Used from one event loop. `await open()` counts what the file holds; until then nothing can be reserved.

    A row is counted when it is written, and once. `noticed` hear of requests and notes; `earlier` gets every request of
    three weeks that the file held, in a thread of its own, before the first of them is noticed.
    """

    def __init__(
        self,
        path: Path,
        calendar: BudgetCalendar,
        *,
        told: Callable[[str], None],
        wall: Callable[[], int] = wall_milliseconds,
        make: Callable[..., Ledger] = Ledger,
    ) -> None:
        self.ledger = make(path, told=told)
        self.book = Book(calendar)
        self.notes: list[Note] = []
        self.taints = Taints()
        self.opened = asyncio.Event()
        self.noticed: list[Callable[[Request | Note], None]] = []
        self._wall = wall
        self._told = told
        self._gray: dict[str, list[Note]] = {}
        self._incidents: list[Note] = []
        self._since_start: list[Row] | None = []
        self.earlier: Callable[[Request], None] = _nobody

    @property
    def now(self) -> int:
        """The book's time in milliseconds of UTC: the wall clock's, never earlier than a row."""
        return self.book.now(self._wall())

    @property
    def closed(self) -> str:
        """Why nothing can be reserved; "" = it can."""
        return self.ledger.closed

    # --- rows ---------------------------------------------------------------------------------------------------------

    def write(self, row: Row) -> None:
        """Queue a row, and count it."""
        self.ledger.write(row)
        self.count(row)

    def count(self, row: Row) -> None:
        """A row is in the ledger."""
        if self._since_start is not None:
            self._since_start.append(row)
        if isinstance(row, Note):
            self._note(row)
        else:
            self.book.add(row)
            if not isinstance(row, Request):
                return
        for hear in self.noticed:
            hear(row)

    def promise(self, row: Reservation, limits: Iterable[Limit]) -> Limit | None:
        """Promise money, unless a limit stops it: then that limit. `commit` or `book.take_back` must follow.

        Between the check of the limits and the promise nothing else runs.
        """
        return self.book.reserve(row, limits)

    async def commit(self, row: Reservation) -> None:
        """Have a promise on the disk. Raises LedgerClosed, and takes the promise back."""
        try:
            await self.ledger.reserve(row)
        except BaseException:
            self.book.take_back(row.id)
            raise
        if self._since_start is not None:
            self._since_start.append(row)

    def settle(self, reservation_id: str, pico: int, source: CostSource) -> None:
        """What an attempt cost."""
        self.write(Settlement(id=reservation_id, at_milliseconds=self.now, pico=pico, source=source))

    def hold(self, request: str, owner: Owner, track: Track, tokens: int, limits: Iterable[Limit]) -> Limit | None:
        """Promise tokens to a request in flight; or the limit that stops it."""
        return self.book.hold(request, owner=owner, track=track, tokens=tokens, at=self.now, limits=limits)

    # --- notes --------------------------------------------------------------------------------------------------------

    def standing(self, route: str) -> Standing:
        """Whether a gray route may be used at all."""
        notes = self._gray.get(route)
        return standing(notes, route, self.now) if notes else Standing()

    def incidents(self) -> Mapping[str, Incident]:
        """Those that are open."""
        return open_incidents(self._incidents, self.now) if self._incidents else {}

    def _note(self, row: Note) -> None:
        if any(known.id == row.id for known in self.notes):
            return
        self.notes.append(row)
        if row.kind in _GRAY:
            self._gray.setdefault(row.subject, []).append(row)
        elif row.kind in _INCIDENT:
            self._incidents.append(row)
        else:
            self.taints.apply(row)

    # --- life ---------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the file and count what it holds, until that succeeds. `release` lets reservations in."""
        await self.ledger.open()
        while True:
            try:
                book, notes = await asyncio.to_thread(self._read)
            except LedgerClosed as error:
                self._told(str(error))
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            break
        since, self._since_start = self._since_start or [], None
        self.book = book
        for row in (*notes, *since):
            if isinstance(row, Note):
                self._note(row)
            else:
                self.book.add(row)
        self.opened.set()

    def release(self) -> None:
        """The sums are those of the provider."""
        self.ledger.release()

    async def keep_small(self) -> None:
        """Let go of single rows, again and again; their sums stay."""
        while True:
            await asyncio.sleep(_FOLD_SECONDS)
            self.book.fold(self.now - _REMEMBERED_MILLISECONDS)

    async def close(self) -> None:
        """Write what is queued."""
        with suppress(asyncio.CancelledError):
            await self.ledger.close()

    def _read(self) -> tuple[Book, list[Note]]:
        """All rows that any sum of now is about, in a thread of its own: nobody else has this book yet.

        That is this month and the one before (a week that overran may lie there), and of tickets what they spent ever.
        Raises LedgerClosed.
        """
        calendar = self.book.calendar
        since = calendar.starts(calendar.month(self._wall()).previous)
        try:
            tickets = tickets_before(self.ledger.path, since)
        except sqlite3.Error as error:
            raise LedgerClosed(f"the ledger cannot be read: {said(error)}") from error
        book, notes = Book(calendar, tickets), []
        late: list[Adjustment] = []
        recently = self._wall() - _RECENT_MILLISECONDS
        for row in self.ledger.rows(since_milliseconds=since):
            if isinstance(row, Note):
                notes.append(row)
            elif isinstance(row, Adjustment):
                late.append(row)
            else:
                book.add(row)
                if isinstance(row, Request) and row.at_milliseconds >= recently:
                    self.earlier(row)
        for row in late:
            book.add(row)
        return book, notes
