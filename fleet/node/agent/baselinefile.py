"""The baselines on disk: a table of its own in the history's file. Losing it costs what was learned, nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import msgspec

from fleet.node.agent.baseline import Key, Usual, newest
from fleet.node.agent.history import History
from fleet.node.agent.historyfile import is_broken, is_full

MOST_ROWS = 256
_CREATE = (
    "CREATE TABLE IF NOT EXISTS baselines (model TEXT, os TEXT, engine TEXT, at_once INTEGER, usual BLOB, "
    "PRIMARY KEY (model, os, engine, at_once)) WITHOUT ROWID"
)
_READ = "SELECT model, os, engine, at_once, usual FROM baselines LIMIT 1000"
_FORGET = "DELETE FROM baselines"
_WRITE = "INSERT OR REPLACE INTO baselines VALUES (?, ?, ?, ?, ?)"


class BaselineFile:
    """The table. The history opens its file, begins it anew when it is broken, and pauses when the disk is full."""

    def __init__(self, history: History) -> None:
        self._history = history

    def load(self) -> dict[Key, Usual]:
        """What is there; nothing, when it cannot be read. A row that says something odd is left out."""
        return self._history.within(_read) or {}

    def save(self, usuals: Mapping[Key, Usual]) -> bool:
        """Keep the newest of them, all or nothing. False when they could not be written."""
        kept = newest(usuals, most=MOST_ROWS)
        rows = [(key.model, key.os, key.engine, key.at_once, msgspec.json.encode(one)) for key, one in kept.items()]
        return self._history.within(lambda db: _write(db, rows)) is True


def _read(db: sqlite3.Connection) -> dict[Key, Usual] | None:
    found: dict[Key, Usual] = {}
    try:
        with db:
            db.execute(_CREATE)
        for *names, usual in db.execute(_READ):
            try:
                key = msgspec.convert(dict(zip(Key.__struct_fields__, names, strict=True)), type=Key)
                found[key] = msgspec.json.decode(usual, type=Usual)
            except (msgspec.MsgspecError, TypeError):
                continue
    except sqlite3.Error as error:
        _raise_of_whole(error)
        return None
    return found


def _write(db: sqlite3.Connection, rows: list[tuple[str, str, str, int, bytes]]) -> bool | None:
    try:
        with db:
            db.execute(_CREATE)
            db.execute(_FORGET)
            db.executemany(_WRITE, rows)
    except sqlite3.Error as error:
        _raise_of_whole(error)
        return None
    return True


def _raise_of_whole(error: sqlite3.Error) -> None:
    """Raises what is wrong with the whole file; what is wrong with this table is nobody else's trouble."""
    if is_broken(error) or is_full(error):
        raise error
