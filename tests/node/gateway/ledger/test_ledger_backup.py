"""A copy of a ledger is one state of it; one laid ready is the ledger after the next start, and not trusted yet."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ledger_rows import reservation, settlement

from fleet.node.gateway.ledger.backup import CannotRestore, copy_of, lay_ready
from fleet.node.gateway.ledger.reading import notes, rows_since
from fleet.node.gateway.ledger.recovery import must_reconcile
from fleet.node.gateway.ledger.store import LedgerFile, connect
from fleet.vocabulary.contracts.ledger import Note, Reservation, Settlement

_WHEN = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


def filled(path: Path, *names: str, at: int = 1000) -> Path:
    file = LedgerFile(path)
    file.put([reservation(name, at=at) for name in names])
    file.put([Note(id="ok", kind="ledger_reconciled", subject="", at_milliseconds=at)])
    file.close()
    return path


def ids(path: Path) -> list[str]:
    return [row.id for row in rows_since(path) if isinstance(row, Reservation)]


def test_a_copy_that_is_taken_under_writes_has_every_settlement_with_its_reservation(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.db", synced=lambda _: False)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            file.put([reservation(str(number)), settlement(str(number), 1)])

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for number in range(5):
            copy = tmp_path / f"copy{number}"
            copy_of(file.path, copy)
            rows = list(rows_since(copy))
            reserved = {row.id for row in rows if isinstance(row, Reservation)}
            assert reserved == {row.id for row in rows if isinstance(row, Settlement)}
            assert copy.stat().st_mode & 0o777 == 0o600
            assert not copy.with_name(copy.name + "-wal").exists()
    finally:
        stop.set()
        writing.join()
        file.close()


def test_a_restored_ledger_is_there_after_the_next_start_and_the_old_one_is_kept(tmp_path: Path) -> None:
    old = filled(tmp_path / "front/ledger.db", "mine", at=10)
    given = filled(tmp_path / "given.db", "theirs", at=500)

    lay_ready(old, given, said_of_it="restored from a backup of Monday", now=_WHEN)
    assert ids(old) == ["mine/1"]
    file = LedgerFile(old, now=lambda: _WHEN)

    assert ids(old) == ["theirs/1"]
    assert must_reconcile(notes(old)) == "restored from a backup of Monday"
    assert ids(old.with_name("ledger.db.replaced-20261122T140000Z")) == ["mine/1"]
    assert file.begun == ""
    file.close()
    assert LedgerFile(old).begun == ""


def test_a_newer_ledger_is_not_replaced_without_force(tmp_path: Path) -> None:
    old = filled(tmp_path / "front/ledger.db", "mine", at=1_795_000_000_000)
    given = filled(tmp_path / "given.db", "theirs", at=500)

    with pytest.raises(CannotRestore, match=r"rows up to 2026-11-18 .* UTC, and the backup ends 1970-01-01"):
        lay_ready(old, given, said_of_it="x")
    assert given.exists()
    lay_ready(old, given, said_of_it="x", force=True)
    LedgerFile(old).close()

    assert ids(old) == ["theirs/1"]


def test_a_fresh_front_without_any_request_takes_a_backup(tmp_path: Path) -> None:
    fresh = filled(tmp_path / "front/ledger.db")

    lay_ready(fresh, filled(tmp_path / "given.db", "theirs"), said_of_it="x")
    LedgerFile(fresh).close()

    assert ids(fresh) == ["theirs/1"]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("text", "no ledger"),
        ("torn", "damaged"),
        ("newer", "newer fleet"),
        ("other", "something else"),
        ("empty", "empty"),
    ],
)
def test_what_is_no_sound_ledger_is_not_laid_ready(tmp_path: Path, kind: str, says: str) -> None:
    old = filled(tmp_path / "front/ledger.db", "mine", at=10)
    given = tmp_path / "given.db"
    if kind == "text":
        given.write_bytes(b"nothing of the kind" * 500)
    elif kind == "empty":
        given.write_bytes(b"")
    elif kind == "other":
        database = connect(given)
        database.execute("CREATE TABLE theirs (x)")
        database.close()
    else:
        filled(given, *(str(number) for number in range(300)))
        if kind == "newer":
            database = connect(given)
            database.execute("PRAGMA user_version = 99")
            database.close()
        else:
            content = bytearray(given.read_bytes())
            for page in range(20, len(content) // 4096):
                content[page * 4096 : page * 4096 + 512] = b"\xff" * 512
            given.write_bytes(content)

    with pytest.raises(CannotRestore, match=says):
        lay_ready(old, given, said_of_it="x", force=True)
    LedgerFile(old).close()
    assert ids(old) == ["mine/1"]


def test_a_start_that_is_cut_between_the_old_file_and_the_new_one_is_finished_by_the_next(tmp_path: Path) -> None:
    old = filled(tmp_path / "front/ledger.db", "mine", at=10)
    lay_ready(old, filled(tmp_path / "given.db", "theirs", at=500), said_of_it="x")
    old.rename(old.with_name("ledger.db.replaced-earlier"))  # as far as the cut one came

    LedgerFile(old).close()

    assert ids(old) == ["theirs/1"]
