"""A whole copy of a ledger while it is written, and one that is laid ready for the next start of the gateway."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from fleet.node.gateway.ledger.queries import newest
from fleet.node.gateway.ledger.recovery import RESTORED
from fleet.node.gateway.ledger.schema import NewerLedger, NotALedger, version_of
from fleet.node.gateway.ledger.store import RESTORING, CannotOpen, LedgerFile, connect, connect_to_read, said
from fleet.vocabulary.contracts.ledger import Note


class CannotRestore(Exception):
    """The file is not laid ready; the message says why to people."""


def copy_of(path: Path, to: Path) -> None:
    """One state of the ledger as a file of its own, 0600. The writer goes on. Raises sqlite3.Error, OSError."""
    os.close(os.open(to, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
    with closing(connect_to_read(path)) as source, closing(connect(to)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")


def lay_ready(path: Path, given: Path, *, said_of_it: str, force: bool = False, now: datetime | None = None) -> None:
    """Make `given` what the next start takes for `path`; it is renamed, and a note says that its sums are old.

    Raises CannotRestore: it is no ledger, is damaged, is of a newer fleet, or (without `force`) the ledger that is
    there has newer attempts or requests.
    """
    at = now or datetime.now(UTC)
    try:
        _check(given)
        theirs, ours = newest(given), newest(path) if path.exists() else None
        if ours is not None and (theirs is None or ours > theirs) and not force:
            raise CannotRestore(
                f"the ledger that is there has rows up to {_shown(ours)}, and the backup ends {_shown(theirs)}"
            )
        file = LedgerFile(given)
        stamp = int(at.timestamp() * 1000)
        file.put([Note(id=f"{RESTORED}/{stamp}", kind=RESTORED, subject=said_of_it, at_milliseconds=stamp)])
        file.close()
        given.replace(path.with_name(path.name + RESTORING))
    except (sqlite3.Error, OSError, CannotOpen) as error:
        raise CannotRestore(said(error)) from error


def _check(given: Path) -> None:
    with closing(connect(given)) as database:
        try:
            version = version_of(database)
            whole = version and database.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
        except (NotALedger, NewerLedger) as error:
            raise CannotRestore(str(error)) from error
        except sqlite3.DatabaseError as error:
            raise CannotRestore(f"it is damaged, or no ledger ({error})") from error
    if not version:
        raise CannotRestore("it is empty")
    if not whole:
        raise CannotRestore("it is damaged")


def _shown(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "without any"
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
