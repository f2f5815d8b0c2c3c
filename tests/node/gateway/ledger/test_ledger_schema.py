"""A ledger that an older fleet wrote is the same ledger to a newer one; a migration is whole, or it has not begun."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from ledger_rows import NOON

from fleet.node.gateway.ledger.reading import rows_since
from fleet.node.gateway.ledger.schema import MIGRATIONS, NEWEST, migrate, version_of
from fleet.node.gateway.ledger.store import LedgerFile, connect
from fleet.vocabulary.contracts.ledger import Request, Reservation

_V1 = Path(__file__).parents[3] / "samples/ledger/v1.db"


def test_a_file_of_schema_1_opens_and_holds_what_it_held(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    shutil.copy(_V1, path)

    file = LedgerFile(path)
    rows = list(rows_since(path))
    file.close()

    assert file.begun == ""
    assert [(type(row).__name__, row.id) for row in rows] == [
        ("Note", "n1"),
        ("Reservation", "a/1"),
        ("Reservation", "b/1"),
        ("Dispatch", "a/1"),
        ("Dispatch", "b/1"),
        ("Settlement", "a/1"),
        ("Adjustment", "reconcile/2026-11/1"),
        ("Request", "a"),
    ]
    reserved = next(row for row in rows if isinstance(row, Reservation))
    asked = next(row for row in rows if isinstance(row, Request))
    assert (reserved.pico, reserved.owner.person, reserved.at_milliseconds) == (5000, "ada", NOON)
    assert (asked.prompt_tokens, asked.cached_tokens, asked.seconds) == (10, None, 1.5)


def test_a_migration_that_is_cut_anywhere_is_made_again_by_the_next_open(tmp_path: Path) -> None:
    class Cut(sqlite3.Connection):
        left = 0

        def execute(self, *what: object) -> sqlite3.Cursor:
            Cut.left -= 1
            if Cut.left == 0:
                raise sqlite3.OperationalError("cut")
            return super().execute(*what)  # type: ignore[arg-type]

    whole = sum(map(len, MIGRATIONS)) + 4 * NEWEST + 3
    for at in range(1, whole + 1):
        path = tmp_path / f"{at}.db"
        Cut.left = at
        database = sqlite3.connect(path, isolation_level=None, factory=Cut)
        with pytest.raises(sqlite3.OperationalError, match="cut"):
            migrate(database)
        database.close()

        again = connect(path)
        migrate(again)
        assert version_of(again) == NEWEST
        again.close()
