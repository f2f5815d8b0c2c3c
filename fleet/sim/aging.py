"""Lets the time of a ledger pass: what was asked just now was asked days ago. For rehearsals of weeks, in minutes.

Only while its gateway is down: a running one has summed up what it read at its start.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path

_DAY_MILLISECONDS = 86_400_000
_ROWS = (
    ("request", "id", ("at",)),
    ("reservation", "request", ("at",)),
    ("dispatch", "id", ("at",)),
    ("settlement", "id", ("at",)),
    ("adjustment", "of", ("at",)),
    ("note", "id", ("at", "until")),
)
"""Each table, the column that begins with the request's id, and its times."""


def age(ledger: Path, *, days: int, over: int = 1, since_milliseconds: int = 0) -> int:
    """Put rows of after `since` back by `days`, spread over `over` days; how many requests. Raises sqlite3.Error.

    All rows of a request go the same way. Which day becomes a request's follows from its id.
    """
    database = sqlite3.connect(ledger, isolation_level=None)
    try:
        database.create_function("back", 1, _back(days, over), deterministic=True)
        database.execute("BEGIN IMMEDIATE")
        aged = 0
        for table, of, times in _ROWS:
            moved = ", ".join(f'"{time}" = "{time}" - back({of})' for time in times)
            found = database.execute(f"UPDATE {table} SET {moved} WHERE at >= ?", (since_milliseconds,))  # noqa: S608 (names of ours)
            aged += found.rowcount if table == "request" else 0
        database.execute("COMMIT")
    finally:
        database.close()
    return aged


def _back(days: int, over: int) -> Callable[[str], int]:
    def back(name: str) -> int:
        request = name.partition("/")[0]
        return (days + zlib.crc32(request.encode()) % max(over, 1)) * _DAY_MILLISECONDS

    return back
