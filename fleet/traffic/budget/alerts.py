"""Which parts of caps were reached and not told yet this month: once each, also over restarts. Pure.

What was told is a note of the ledger, and its id says what it is about; so nobody is told twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from fleet.traffic.budget.book import Book
from fleet.traffic.budget.exact import exact
from fleet.traffic.budget.limits import Limit
from fleet.vocabulary.contracts.ledger import Note

ALERT = "alert"


class AlertData(msgspec.Struct, frozen=True, kw_only=True):
    """The data of an alert's note: which part of how much was reached. `unit` is `pico` or `tokens`."""

    part: str
    unit: str
    reached: int
    limit: int


def alerts_due(
    book: Book,
    limits: Iterable[Limit],
    parts: Iterable[str],
    *,
    told: Collection[str],
    at: int,
    stopped: Collection[Limit] = (),
) -> tuple[Note, ...]:
    """The notes to write and to tell, the smallest part first. `told`: ids of notes that are there already.

    `stopped`: limits that have stopped a request; they are reached whole, though what was promised just fits below.
    Raises NotExact for a part that is none.
    """
    exact_parts = sorted((exact(part), part) for part in parts)
    month = book.calendar.month(at)
    found: list[Note] = []
    for limit in limits:
        for unit, most, reached in _measured(book, limit, at):
            for part, text in exact_parts:
                enough = reached * part.denominator >= most * part.numerator or (part <= 1 and limit in stopped)
                id_ = f"{ALERT}/{month}/{limit.scope.kind.value}/{limit.scope.name}/{unit}/{text}"
                if enough and id_ not in told:
                    data = AlertData(part=text, unit=unit, reached=reached, limit=most)
                    found.append(
                        Note(
                            id=id_,
                            kind=ALERT,
                            subject=str(limit.scope),
                            at_milliseconds=at,
                            data=msgspec.json.encode(data).decode(),
                        )
                    )
    return tuple(found)


def _measured(book: Book, limit: Limit, at: int) -> Iterator[tuple[str, int, int]]:
    found = book.bounded(limit, book.calendar.month(at))
    if limit.pico:
        yield "pico", limit.pico, found.committed
    if limit.tokens:
        yield "tokens", limit.tokens, found.committed_tokens
