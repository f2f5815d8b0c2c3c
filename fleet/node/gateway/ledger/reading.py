"""What is read from a ledger while another thread writes it: one state of the file, no lock that anybody waits for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fleet.node.gateway.ledger.recovery import OpenAttempt
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
from fleet.vocabulary.contracts.ledger import Note, Row

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


def notes(path: Path) -> list[Note]:
    """All notes, oldest first. Raises sqlite3.Error."""
    with reading(path) as database:
        found = database.execute(f"SELECT {NOTES.listed} FROM note ORDER BY seq")  # noqa: S608 (ours)
        return [NOTES.row(values) for values in found]  # type: ignore[misc]


def open_attempts(path: Path, *, before_milliseconds: int) -> list[OpenAttempt]:
    """Reservations of before an instant that nobody settled, oldest first. Raises sqlite3.Error."""
    columns = ", ".join(f"t.{column}" for column in RESERVATIONS.columns)
    statement = (
        f"SELECT {columns}, d.generation FROM reservation AS t LEFT JOIN dispatch AS d ON d.id = t.id "  # noqa: S608 (ours)
        "WHERE t.at < ? AND NOT EXISTS (SELECT 1 FROM settlement AS s WHERE s.id = t.id) ORDER BY t.seq"
    )
    with reading(path) as database:
        return [
            OpenAttempt(RESERVATIONS.row(values[:-1]), values[-1] or "")  # type: ignore[arg-type]
            for values in database.execute(statement, (before_milliseconds,))
        ]


def counted(path: Path, upstreams: Iterable[str], account: str, *, since: int, until: int) -> int:
    """What attempts at these upstreams, reserved between two instants, are known to have cost, corrections of theirs
    and of the account itself added. Pico-dollars. Raises sqlite3.Error.
    """
    names = tuple(upstreams)
    within = ", ".join("?" * len(names)) or "NULL"
    attempts = f"SELECT id FROM reservation WHERE at >= ? AND at <= ? AND upstream IN ({within})"  # noqa: S608 (ours)
    statement = (
        f"SELECT (SELECT ifnull(sum(pico), 0) FROM settlement WHERE id IN ({attempts}))"  # noqa: S608 (ours)
        f" + (SELECT ifnull(sum(pico), 0) FROM adjustment WHERE of IN ({attempts}))"
        " + (SELECT ifnull(sum(pico), 0) FROM adjustment WHERE at >= ? AND at <= ? AND id LIKE ?)"
    )
    values = (since, until, *names, since, until, *names, since, until, f"reconcile/{account}/%")
    with reading(path) as database:
        total: int = database.execute(statement, values).fetchone()[0]
    return total
