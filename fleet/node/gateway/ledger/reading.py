"""What is read from a ledger while another thread writes it: one state of the file, no lock that anybody waits for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fleet.node.gateway.ledger.store import connect_to_read
from fleet.node.gateway.ledger.tables import (
    ADJUSTMENTS,
    DISPATCHES,
    NOTES,
    REQUESTS,
    RESERVATIONS,
    SETTLEMENTS,
    Table,
)
from fleet.vocabulary.contracts.ledger import Row

_OF_YOUNG = "EXISTS (SELECT 1 FROM reservation AS r WHERE r.id = t.id AND r.at >= :since)"

_PARTS: tuple[tuple[Table, str], ...] = (
    (NOTES, "1"),
    (RESERVATIONS, "t.at >= :since"),
    (DISPATCHES, _OF_YOUNG),
    (SETTLEMENTS, _OF_YOUNG),
    (ADJUSTMENTS, "t.at >= :since OR EXISTS (SELECT 1 FROM reservation AS r WHERE r.id = t.of AND r.at >= :since)"),
    (REQUESTS, "t.at >= :since"),
)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """One state of the file. Raises sqlite3.Error."""
    with closing(connect_to_read(path)) as database:
        database.execute("BEGIN")
        yield database


def rows_since(path: Path, since_milliseconds: int = 0) -> Iterator[Row]:
    """All notes; the money of attempts that were reserved since then, adjustments and requests since then.

    Each kind in the order in which it was committed. Raises sqlite3.Error.
    """
    with reading(path) as database:
        for table, where in _PARTS:
            statement = f"SELECT {table.listed} FROM {table.name} AS t WHERE {where} ORDER BY seq"  # noqa: S608 (ours)
            for values in database.execute(statement, {"since": since_milliseconds}):
                yield table.row(values)
