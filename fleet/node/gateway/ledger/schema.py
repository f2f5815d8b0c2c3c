"""The tables of a ledger file and how an older file becomes a newer one.

`PRAGMA user_version` is the number of the last migration that is in the file. A migration is never edited once it was
released; a new one goes to the end. Tables are STRICT: no text stands where a number is meant.
"""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x464C5447  # "FLTG": a file of something else is never taken for a ledger

_V1 = (
    """CREATE TABLE reservation (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, request TEXT NOT NULL, at INTEGER NOT NULL,
        key TEXT NOT NULL, person TEXT NOT NULL, team TEXT NOT NULL, app TEXT NOT NULL, route TEXT NOT NULL,
        track TEXT NOT NULL, upstream TEXT NOT NULL, model TEXT NOT NULL, pico INTEGER NOT NULL, gray INTEGER NOT NULL,
        ticket TEXT NOT NULL, incident TEXT NOT NULL) STRICT""",
    "CREATE INDEX reservation_at ON reservation (at)",
    """CREATE TABLE dispatch (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, generation TEXT NOT NULL, at INTEGER NOT NULL) STRICT""",
    """CREATE TABLE settlement (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, pico INTEGER NOT NULL,
        source TEXT NOT NULL) STRICT""",
    """CREATE TABLE adjustment (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, of TEXT NOT NULL, at INTEGER NOT NULL, pico INTEGER NOT NULL,
        track TEXT NOT NULL, note TEXT NOT NULL) STRICT""",
    "CREATE INDEX adjustment_at ON adjustment (at)",
    """CREATE TABLE request (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, key TEXT NOT NULL, person TEXT NOT NULL,
        team TEXT NOT NULL, app TEXT NOT NULL, asked TEXT NOT NULL, route TEXT NOT NULL, track TEXT NOT NULL,
        upstream TEXT NOT NULL, node TEXT NOT NULL, model TEXT NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL,
        surface TEXT NOT NULL, stream INTEGER NOT NULL, sensitivity TEXT NOT NULL, eligible INTEGER NOT NULL,
        gray INTEGER NOT NULL, folded TEXT NOT NULL, ticket TEXT NOT NULL, incident TEXT NOT NULL,
        attempts INTEGER NOT NULL, session TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER,
        cached_tokens INTEGER, reasoning_tokens INTEGER, seconds REAL NOT NULL, queued_seconds REAL NOT NULL,
        first_token_seconds REAL, tools_at_seconds REAL, tools_offered INTEGER NOT NULL, tool_verdict TEXT,
        pico INTEGER) STRICT""",
    "CREATE INDEX request_at ON request (at)",
    """CREATE TABLE note (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, subject TEXT NOT NULL,
        at INTEGER NOT NULL, by TEXT NOT NULL, until INTEGER, data TEXT NOT NULL) STRICT""",
)

_V2 = (
    """CREATE TABLE kept (
        at INTEGER NOT NULL, key TEXT NOT NULL, person TEXT NOT NULL, team TEXT NOT NULL, app TEXT NOT NULL,
        asked TEXT NOT NULL, track TEXT NOT NULL, upstream TEXT NOT NULL, model TEXT NOT NULL, ticket TEXT NOT NULL,
        incident TEXT NOT NULL, requests INTEGER NOT NULL, failed INTEGER NOT NULL, untold INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
        PRIMARY KEY (at, key, person, team, app, asked, track, upstream, model, ticket, incident))
        STRICT, WITHOUT ROWID""",
)
"""Sums of the requests of a month whose rows were let go (retention.py)."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (_V1, _V2)
"""From nothing to version 1, from 1 to 2, ..."""
NEWEST = len(MIGRATIONS)


class NewerLedger(Exception):
    """The file was written by a newer fleet; the message says so to people."""


class NotALedger(Exception):
    """A database of something else; the message says so to people."""


def version_of(database: sqlite3.Connection) -> int:
    """0 = an empty file. Raises NotALedger, NewerLedger, sqlite3.Error."""
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    application: int = database.execute("PRAGMA application_id").fetchone()[0]
    tables: int = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and (application or version or tables):
        raise NotALedger("it is a database of something else")
    if version > NEWEST:
        raise NewerLedger(f"its schema is {version}, and this fleet knows {NEWEST}: a newer fleet wrote it")
    return version


def migrate(database: sqlite3.Connection) -> int:
    """Bring the file to NEWEST, each step whole or not at all. The version before. Raises as `version_of`."""
    before = version_of(database)
    for number in range(before, NEWEST):
        database.execute("BEGIN IMMEDIATE")
        try:
            for statement in MIGRATIONS[number]:
                database.execute(statement)
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {number + 1}")
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
    return before
