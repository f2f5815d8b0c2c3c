"""The ledger's file: every row comes back as it was; damage is told, kept aside, and never a silent zero."""

from __future__ import annotations

import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_rows import dispatch, request, reservation, settlement

from fleet.node.gateway.ledger.place import of_mounts, refusal
from fleet.node.gateway.ledger.reading import rows_since
from fleet.node.gateway.ledger.store import CannotOpen, LedgerFile, connect
from fleet.node.gateway.ledger.tables import TABLES, grouped
from fleet.vocabulary.contracts.ledger import (
    Adjustment,
    CostSource,
    Dispatch,
    Note,
    Owner,
    Request,
    Reservation,
    Row,
    Settlement,
    ToolVerdict,
)
from fleet.vocabulary.names import Sensitivity, Track

_WHEN = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
_INT = st.integers(-(2**63), 2**63 - 1)
_FLOAT = st.floats(allow_nan=False)
_OWNERS = st.builds(Owner, key=_TEXT, person=_TEXT, team=_TEXT, app=_TEXT)


def _any(kind: type[Row]) -> st.SearchStrategy[Row]:
    by_type = {
        "str": _TEXT,
        "int": _INT,
        "float": _FLOAT,
        "bool": st.booleans(),
        "Owner": _OWNERS,
        "Track": st.sampled_from(Track),
        "Sensitivity": st.sampled_from(Sensitivity),
        "CostSource": st.sampled_from(CostSource),
        "int | None": st.none() | _INT,
        "float | None": st.none() | _FLOAT,
        "ToolVerdict | None": st.none() | st.sampled_from(ToolVerdict),
    }
    return st.builds(kind, **{name: by_type[str(kind.__annotations__[name])] for name in kind.__struct_fields__})


ROWS = st.one_of([_any(kind) for kind in (Reservation, Dispatch, Settlement, Adjustment, Request, Note)])


@given(st.lists(ROWS, max_size=12))
@settings(deadline=None, max_examples=60)
def test_what_a_row_becomes_in_sql_becomes_the_same_row_again(rows: list[Row]) -> None:
    back = [table.row(values) for table, found in grouped(rows).items() for values in found]

    assert sorted(back, key=repr) == sorted(rows, key=repr)


@given(st.lists(ROWS, max_size=90, unique_by=lambda row: (type(row), row.id)))
@settings(
    deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_every_row_comes_back_from_the_disk_as_it_was_and_a_second_writing_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row]
) -> None:
    file = LedgerFile(tmp_path_factory.mktemp("any") / "ledger.db")
    file.put(rows)
    file.put(rows)

    assert sorted(rows_since(file.path, -(2**63)), key=repr) == sorted(_with_reservation(rows), key=repr)
    file.close()


def _with_reservation(rows: list[Row]) -> list[Row]:
    """What became of an attempt that nobody reserved is no one's money, and is not read."""
    reserved = {row.id for row in rows if isinstance(row, Reservation)}
    return [row for row in rows if not (isinstance(row, Settlement | Dispatch) and row.id not in reserved)]


def test_the_first_settlement_of_an_attempt_counts_and_a_later_one_changes_nothing(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.db")
    file.put([reservation("a"), settlement("a", 7)])
    file.put([settlement("a", 999)])

    assert [row.pico for row in rows_since(file.path) if isinstance(row, Settlement)] == [7]


def test_boot_reads_all_notes_and_what_was_reserved_or_asked_since(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.db")
    note = Note(id="n", kind="gray_disabled", subject="owl", at_milliseconds=1)
    file.put([reservation("old", at=1), dispatch("old"), settlement("old", 5), request("old", at=1), note])
    file.put([reservation("new", at=100), settlement("new", 6), request("new", at=100)])

    found = {(type(row).__name__, row.id) for row in rows_since(file.path, 50)}

    assert found == {
        ("Note", "n"),
        ("Reservation", "new/1"),
        ("Settlement", "new/1"),
        ("Request", "new"),
    }


def test_nobody_else_can_read_the_file_nor_its_wal(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "state/ledger.db")
    file.put([reservation("a")])

    assert {stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "state").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_money_of_the_dollar_track_is_synced_to_the_disk_and_cheap_ones_and_requests_are_not(tmp_path: Path) -> None:
    statements: list[str] = []

    def traced(path: Path) -> sqlite3.Connection:
        database = connect(path)
        database.set_trace_callback(statements.append)
        return database

    file = LedgerFile(tmp_path / "ledger.db", connect=traced)
    del statements[:]
    file.put([reservation("a"), request("a")])
    file.put([request("b"), reservation("b", track=Track.TOKEN)])
    file.put([settlement("a", 1)])
    file.put([reservation("c")])

    assert [one for one in statements if "synchronous" in one] == [
        "PRAGMA synchronous = NORMAL",
        "PRAGMA synchronous = FULL",
    ]


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_damaged_file_is_kept_with_its_date_and_the_new_one_says_so(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "ledger.db"
    file = LedgerFile(path)
    file.put([reservation("a")])
    file.close()
    path.write_bytes(b"this is no database at all" * 200)

    again = LedgerFile(path, now=lambda: _WHEN)

    kept = path.with_name("ledger.db.damaged-20261122T140000Z")
    assert kept.exists()
    assert again.begun.endswith("is kept as ledger.db.damaged-20261122T140000Z")
    assert list(rows_since(path)) == []


def test_a_page_that_is_torn_inside_a_sound_file_is_found_at_the_open(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    file = LedgerFile(path)
    file.put([request(f"request-{number}") for number in range(400)])
    file.close()
    content = bytearray(path.read_bytes())
    for page in range(20, len(content) // 4096):
        content[page * 4096 : page * 4096 + 512] = b"\xff" * 512
    path.write_bytes(content)

    assert "damaged" in LedgerFile(path).begun


def test_a_wal_whose_file_is_gone_is_never_laid_upon_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    file = LedgerFile(path)
    file.put([reservation("a")])
    path.unlink()

    again = LedgerFile(path)

    assert "its main part was gone" in again.begun
    assert list(rows_since(path)) == []
    file.close()


def test_a_new_file_says_that_there_was_none_and_an_old_one_says_nothing(tmp_path: Path) -> None:
    first = LedgerFile(tmp_path / "ledger.db")
    first.close()

    assert first.begun == "there was none"
    assert LedgerFile(tmp_path / "ledger.db").begun == ""


def test_the_database_of_something_else_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    other = connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()

    with pytest.raises(CannotOpen, match="something else"):
        LedgerFile(path)
    assert path.read_bytes() == before


def test_a_ledger_of_a_newer_fleet_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    LedgerFile(path).close()
    newer = connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()

    with pytest.raises(CannotOpen, match="a newer fleet wrote it"):
        LedgerFile(path)


def test_columns_of_the_tables_are_those_that_rows_are_written_to(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.db")
    database = connect(file.path)

    for table in TABLES:
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table.name})")]
        assert columns[0] == "seq"
        assert tuple(columns[1 : 1 + len(table.columns)]) == table.columns


def test_a_ledger_on_a_networks_file_system_is_refused_with_a_sentence() -> None:
    said = refusal(Path("/Volumes/share/ledger.db"), kind=lambda _: "smbfs")

    assert said.startswith("/Volumes/share is on a network's file system (smbfs)")
    assert refusal(Path("/var/ledger.db"), kind=lambda _: "apfs") == ""
    assert refusal(Path("/var/ledger.db"), kind=lambda _: "") == ""


def test_the_nearest_mount_says_what_a_folder_lies_on() -> None:
    mounts = (
        "22 1 8:1 / / rw - ext4 /dev/root rw\n"
        "40 22 0:50 / /srv/team\\040share rw - nfs4 nas:/x rw\n"
        "garbage\n"
        "41 22 0:51 / /srv rw,relatime shared:1 - xfs /dev/sdb rw\n"
    )

    assert of_mounts(mounts, "/srv/team share/fleet") == "nfs4"
    assert of_mounts(mounts, "/srv/other") == "xfs"
    assert of_mounts(mounts, "/srv2") == "ext4"
    assert of_mounts("", "/srv") == ""
