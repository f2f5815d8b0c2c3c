"""A backup is whole or there is none; what is damaged, foreign or ambiguous ends with a sentence."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.control.actions.backup import Backup, choose, read, restore_keys, write
from fleet.errors import FleetError, SupplyError, UsageError
from fleet.vocabulary.names import NodeName

ONE, TWO = NodeName("front-1"), NodeName("front-2")


def made(folder: Path, **ledgers: bytes) -> Path:
    keys = folder / "keys.json"
    keys.write_text('{"keys": []}\n')
    path = folder / "fleet.tar.gz"
    write(path, {NodeName(name.replace("_", "-")): content for name, content in ledgers.items()}, keys)
    return path


def test_what_was_put_in_comes_out_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    path = made(tmp_path, front_1=b"one" * 1000, front_2=b"two")

    found = read(path)

    assert found.ledgers == {ONE: b"one" * 1000, TWO: b"two"}
    assert found.keys == b'{"keys": []}\n'
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir() if one.name.endswith(".new")] == []


def test_an_older_file_stays_when_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(SupplyError, match="cannot write"):
        write(tmp_path / "nowhere/fleet.tar.gz", {ONE: b"x"}, tmp_path / "keys.json")


def test_every_cut_of_a_backup_is_found(tmp_path: Path) -> None:
    path = made(tmp_path, front_1=bytes(range(256)) * 20)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 8, 37):
        path.write_bytes(whole[:length])
        with pytest.raises(SupplyError):
            read(path)


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=25, deadline=None)
def test_a_changed_byte_is_found_or_changes_nothing(at: int, by: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = made(Path(folder), front_1=b"the rows of a ledger" * 10)
        before = read(path)
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[at % len(content)] ^= by
        path.write_bytes(gzip.compress(bytes(content), compresslevel=1))
        try:
            after = read(path)
        except FleetError:
            return
        assert (after.ledgers, after.keys) == (before.ledgers, before.keys)


def test_what_is_no_backup_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello")
    with pytest.raises(SupplyError, match="no backup of fleet"):
        read(tmp_path / "x")
    with pytest.raises(UsageError, match="there is no"):
        read(tmp_path / "y")


def test_one_ledger_needs_no_name_and_several_do() -> None:
    one, both = Backup(made="", ledgers={ONE: b""}), Backup(made="", ledgers={ONE: b"", TWO: b""})

    assert choose(one, None) == ONE
    assert choose(both, "front-2") == TWO
    with pytest.raises(UsageError, match="front-1, front-2"):
        choose(both, None)
    with pytest.raises(UsageError, match="no ledger of front-9"):
        choose(both, "front-9")


def test_keys_that_are_others_are_replaced_only_by_force(tmp_path: Path) -> None:
    keys, backup = tmp_path / "keys.json", Backup(made="", ledgers={}, keys=b"theirs")

    assert restore_keys(backup, keys, force=False) is True
    assert restore_keys(backup, keys, force=False) is False
    keys.write_bytes(b"mine")
    with pytest.raises(UsageError, match="another one than in the backup"):
        restore_keys(backup, keys, force=False)
    assert keys.read_bytes() == b"mine"
    assert restore_keys(backup, keys, force=True) is True
    assert keys.read_bytes() == b"theirs"
    assert restore_keys(Backup(made="", ledgers={}), keys, force=True) is False
