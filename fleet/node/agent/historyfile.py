"""The history's file: opened and brought to our columns, or put aside when it is broken."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from fleet.node.agent import historysql as sql

SCHEMA = 1
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_CACHE_KIB = 512
_MOST_WAL_BYTES = 4 * 1024 * 1024


def is_broken(error: Exception) -> bool:
    """Whether the file is no history any more, and not only out of reach or out of room."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN


def is_full(error: Exception) -> bool:
    """Whether the disk, or our share of it, has no room."""
    return isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL


def open_history(path: Path, *, most_bytes: int) -> sqlite3.Connection:
    """The file, checked, and with every table and column that we know. Raises sqlite3.Error.

    A file of an earlier fleet gets the columns that it lacks; one of a later fleet is used as it is, since columns are
    only ever added.
    """
    db = sqlite3.connect(path, timeout=0.2, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        db.execute(f"PRAGMA journal_size_limit = {_MOST_WAL_BYTES}")
        (page_bytes,) = db.execute("PRAGMA page_size").fetchone()
        db.execute(f"PRAGMA max_page_count = {most_bytes // page_bytes}")
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise _corrupt(verdict)
        _migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def put_aside(path: Path) -> None:
    """Rename a broken file to `NAME.broken`, over an earlier one. Raises OSError."""
    path.replace(path.with_name(f"{path.name}.broken"))
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _migrate(db: sqlite3.Connection) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    with db:
        for table, columns in sql.TABLES:
            db.execute(sql.create(table, columns))
            there = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
            for column in columns:
                if column not in there:
                    db.execute(sql.add_column(table, column))
        if version < SCHEMA:
            db.execute(f"PRAGMA user_version = {SCHEMA}")


def _corrupt(verdict: object) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(str(verdict))
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
