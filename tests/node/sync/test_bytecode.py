"""Sync starts from bytecode that its first start left beside it, and from the zipapp wherever that cannot be."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fleet.control.supply.nodepart import sync_zipapp
from fleet.node.sync import start as starting
from fleet.node.sync.prune import _OURS


def bytecode_of(zipapp: Path) -> Path:
    return Path(starting.bytecode_of(str(zipapp)))


def compile_into(place: Path, zipapp: Path) -> None:
    starting.compile_into(str(place), str(zipapp))


@pytest.fixture(scope="module")
def sync(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    return sync_zipapp()


@pytest.fixture
def zipapp(tmp_path: Path, sync: tuple[str, bytes]) -> Path:
    digest, content = sync
    path = tmp_path / f"{digest}.pyz"
    path.write_bytes(content)
    return path


def start(zipapp: Path) -> str:
    """Where its main module came from; a usage error is all that it has to say."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-v", str(zipapp), "nothing"], capture_output=True, text=True, check=False
    )
    assert "usage: session" in done.stderr or "cannot be read" in done.stdout
    return next(line for line in done.stderr.splitlines() if line.startswith("import 'fleet.node.sync.main'"))


def test_the_first_start_compiles_and_the_next_ones_use_it(zipapp: Path) -> None:
    assert ".zip" in start(zipapp)
    made = bytecode_of(zipapp)
    written = made.stat().st_mtime_ns
    assert ".zip" in start(zipapp)
    assert made.stat().st_mtime_ns == written
    assert made.stat().st_mode & 0o777 == 0o644
    assert {path.name for path in zipapp.parent.iterdir()} == {zipapp.name, made.name}


def test_through_current_pyz_the_same_bytecode_is_used(zipapp: Path) -> None:
    current = zipapp.with_name("current.pyz")
    current.symlink_to(zipapp.name)
    assert ".zip" in start(current)
    assert bytecode_of(zipapp).exists()
    assert not bytecode_of(current).exists()


def test_a_place_that_cannot_be_written_and_a_broken_file_cost_time_only(zipapp: Path) -> None:
    bytecode_of(zipapp).write_bytes(b"PK not a zip")
    assert ".pyz" in start(zipapp)
    bytecode_of(zipapp).unlink()
    bytecode_of(zipapp).mkdir()
    assert ".pyz" in start(zipapp)


def test_what_is_compiled_is_every_module_and_nothing_stays_of_a_compile_that_fails(zipapp: Path) -> None:
    place = bytecode_of(zipapp)
    compile_into(place, zipapp)
    with zipfile.ZipFile(zipapp) as source, zipfile.ZipFile(place) as made:
        assert {f"{name}c" for name in source.namelist() if name != "__main__.py"} == set(made.namelist())
    place.unlink()
    with zipfile.ZipFile(zipapp, "a") as source:
        source.writestr("fleet/odd.py", "def :")
    with pytest.raises(SyntaxError):
        compile_into(place, zipapp)
    assert list(zipapp.parent.iterdir()) == [zipapp]


def test_housekeeping_knows_bytecode_by_its_name(zipapp: Path) -> None:
    import re

    pattern = _OURS["sync"][1]
    made = bytecode_of(zipapp).name
    assert all(re.fullmatch(pattern, name) for name in (zipapp.name, made, f"{made}.4711"))
    assert not any(re.fullmatch(pattern, name) for name in ("current.pyz", "notes.zip", f"{zipapp.stem}.txt"))
