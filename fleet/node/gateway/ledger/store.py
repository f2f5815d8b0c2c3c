"""The ledger's file: opened, migrated, written in whole transactions, set aside when it is damaged.

WAL. A commit with a paid reservation, an adjustment or a decision in it is synced to the disk (FULL, on macOS with
F_FULLFSYNC); the others outlive a killed process, and a power failure may take the last of them (NORMAL). One
connection switches between the two: a second one would wait for the first one's lock, and what is synced has all
before it synced as well.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from fleet.node.gateway.ledger.place import refusal
from fleet.node.gateway.ledger.retention import Keep, let_go
from fleet.node.gateway.ledger.schema import NEWEST, NewerLedger, NotALedger, migrate, version_of
from fleet.node.gateway.ledger.tables import grouped, insert
from fleet.vocabulary.contracts.ledger import Adjustment, Note, Reservation, Row
from fleet.vocabulary.names import Track

_BUSY_SECONDS = 2.0
_MOST_AT_ONCE = 64
_CHECKPOINT_PAGES = 4000
_CHECKED_BYTES = 64 * 1024 * 1024
RESTORING = ".restore"
"""How the name of a file ends that was laid ready to take the ledger's place at the next start (backup.py)."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class CannotOpen(Exception):
    """There is no ledger to be had; the message says why to people."""


def must_be_synced(row: Row) -> bool:
    """Whether a power failure must not take the row: money of the dollar track, corrections, decisions (SPEC 5.5).

    Of other tracks it may take what the newest commits reserved; the daily comparison with the provider finds that.
    """
    if isinstance(row, Reservation):
        return row.pico > 0 and row.track is Track.DOLLAR
    return isinstance(row, Adjustment | Note)


def connect(path: Path) -> sqlite3.Connection:
    """A connection that leaves transactions to us. Raises sqlite3.Error."""
    return sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
    )


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing and never stands in the writer's way. Raises sqlite3.Error."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def is_damage(error: BaseException) -> bool:
    """Whether the file itself is broken."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.DatabaseError) and code is not None and code & 0xFF in _DAMAGED


class LedgerFile:
    """An open ledger. Of one thread at a time. `begun` says why the file is a new one; "" = it is not.

    `damaged` says how the file was found broken by whoever had it open. Raises CannotOpen when it is constructed: a
    wrong place, a newer schema, a disk that does not let us.
    """

    def __init__(
        self,
        path: Path,
        *,
        damaged: str = "",
        keep: Keep | None = None,
        connect: Callable[[Path], sqlite3.Connection] = connect,
        synced: Callable[[Row], bool] = must_be_synced,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = path
        self.begun = ""
        self._keep = keep
        self._connect = connect
        self._synced = synced
        self._now = now
        self._full = False
        if why := refusal(path):
            raise CannotOpen(why)
        try:
            if damaged:
                self._set_aside(damaged)
            self._database = self._opened()
        except (OSError, sqlite3.Error, NotALedger, NewerLedger) as error:
            raise CannotOpen(f"{path.name}: {said(error)}") from error

    def put(self, rows: Sequence[Row]) -> None:
        """Commit them all, or none. Rows that are there already change nothing. Raises sqlite3.Error, OverflowError."""
        self._sync(full=any(map(self._synced, rows)))
        execute = self._database.execute
        parts = list(_statements(rows))
        if len(parts) == 1:
            execute(*parts[0])
            return
        execute("BEGIN IMMEDIATE")
        try:
            for statement, values in parts:
                execute(statement, values)
            execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def probe(self) -> None:
        """Write a page as it is: whether the disk takes one. Raises sqlite3.Error."""
        self._database.execute(f"PRAGMA user_version = {NEWEST}")

    def checkpoint(self) -> None:
        """Move what the WAL holds into the file, as far as readers let us. Raises sqlite3.Error."""
        self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def let_go(self) -> int:
        """Turn some requests that are older than is kept into sums; how many. Raises sqlite3.Error."""
        if self._keep is None:
            return 0
        self._sync(full=False)
        return let_go(self._database, self._keep.before(self._now()), self._keep.month)

    def close(self) -> None:
        """Close it; the WAL becomes part of the file. Never raises."""
        try:
            self._database.close()
        except sqlite3.Error:
            pass

    def _opened(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        ready = self._beside(RESTORING)
        if ready.exists():
            self._move_parts("replaced")
            ready.replace(self.path)
        new = not self.path.exists()
        if new and self._beside("-wal").exists():
            self._set_aside("its main part was gone")
        if new and not self.begun:
            self.begun = "there was none"
        try:
            return self._configured()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self._set_aside(str(error))
            return self._configured()

    def _configured(self) -> sqlite3.Connection:
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))  # its WAL gets the same mode
        database = self._connect(self.path)
        try:
            version_of(database)  # before anything is written: it may be somebody else's file
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA fullfsync = 1")
            database.execute("PRAGMA checkpoint_fullfsync = 1")
            database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            if self.path.stat().st_size <= _CHECKED_BYTES:
                found = database.execute("PRAGMA quick_check(1)").fetchone()
                if found is not None and found[0] != "ok":
                    raise _damage(str(found[0]))
            if migrate(database) == 0 and not self.begun:
                self.begun = "the file was empty"
        except BaseException:
            database.close()
            raise
        self._full = True
        return database

    def _sync(self, *, full: bool) -> None:
        if full is not self._full:
            self._database.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._full = full

    def _set_aside(self, why: str) -> None:
        """The damaged file gets a name with the time. Its main part first: the next open finds an orphaned WAL."""
        stamp = self._move_parts("damaged")
        self.begun = f"the old one was damaged ({why}) and is kept as {self.path.name}.{stamp}"

    def _move_parts(self, word: str) -> str:
        stamp = f"{word}-{self._now():%Y%m%dT%H%M%SZ}"
        for suffix in ("", "-wal", "-shm"):
            part = self._beside(suffix)
            if part.exists():
                part.replace(part.with_name(f"{part.name}.{stamp}"))
        return stamp

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)


def said(error: BaseException) -> str:
    """An error of SQLite or of the disk as people read it."""
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    code = getattr(error, "sqlite_errorcode", None)
    match None if code is None else code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return "the disk is full"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "another process has it locked"
        case sqlite3.SQLITE_IOERR:
            return "the disk does not take it (I/O error)"
        case sqlite3.SQLITE_CANTOPEN:
            return "it cannot be opened"
        case sqlite3.SQLITE_READONLY:
            return "it cannot be written"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return f"it is damaged ({error})"
        case _:
            return str(error)


def _statements(rows: Sequence[Row]) -> Iterator[tuple[str, list[object]]]:
    """Inserts of 1, 2, 4, ... 64 rows: few statements to prepare, and few to run."""
    for table, values in grouped(rows).items():
        at = 0
        while at < len(values):
            count = min(_MOST_AT_ONCE, 1 << (len(values) - at).bit_length() - 1)
            flat = [value for one in values[at : at + count] for value in one]
            yield insert(table.name, table.columns, count), flat
            at += count


def _damage(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
