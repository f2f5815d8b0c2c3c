"""Large files of a project: never held, hashed once, and again when their stats say that they are others."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from fleet.control.desired.localfiles import HELD_BYTES, local_content
from fleet.control.desired.templates import Templates
from fleet.control.inventory.project import Project
from fleet.control.supply.cache import Cache
from fleet.control.supply.filedigests import StatDigests

LATER_NS = 10**20


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "project" / "templates" / "big.img"
    path.parent.mkdir(parents=True)
    path.write_bytes(os.urandom(HELD_BYTES + 1))
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is read whole to be hashed."""
    from fleet.control.supply import filedigests
    from fleet.control.supply.cache import hash_file

    found: list[Path] = []

    def counted(path: Path) -> tuple[str, int]:
        found.append(path)
        return hash_file(path)

    monkeypatch.setattr(filedigests, "hash_file", counted)
    return found


def true_digest(path: Path) -> tuple[str, int]:
    return hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size


def test_a_file_is_read_once_and_again_when_it_is_another(tmp_path: Path, big: Path, read: list[Path]) -> None:
    digests = StatDigests(Cache(tmp_path / "cache"), now_ns=lambda: LATER_NS)
    assert [digests.digest(big) for _ in range(3)] == [true_digest(big)] * 3
    assert read == [big]
    stats = big.stat()
    big.write_bytes(os.urandom(HELD_BYTES + 1))
    os.utime(big, ns=(stats.st_atime_ns, stats.st_mtime_ns))  # somebody hides that: the change time tells
    assert StatDigests(Cache(tmp_path / "cache"), now_ns=lambda: LATER_NS).digest(big) == true_digest(big)
    assert read == [big, big]


def test_a_file_that_changed_just_now_is_not_believed_to_stay(tmp_path: Path, big: Path, read: list[Path]) -> None:
    digests = StatDigests(Cache(tmp_path / "cache"), now_ns=lambda: big.stat().st_mtime_ns + 1)
    assert digests.digest(big) == digests.digest(big) == true_digest(big)
    assert read == [big, big]


def test_a_cache_of_nonsense_only_costs_reading(tmp_path: Path, big: Path, read: list[Path]) -> None:
    cache = Cache(tmp_path / "cache")
    StatDigests(cache, now_ns=lambda: LATER_NS).digest(big)
    for path in (tmp_path / "cache" / "refs").rglob("*.json"):
        path.write_text('{"stats": 1, "sha256": []}')
    assert StatDigests(cache, now_ns=lambda: LATER_NS).digest(big) == true_digest(big)
    assert len(read) == 2


@pytest.mark.parametrize("size", [0, 1, HELD_BYTES, HELD_BYTES + 1])
def test_small_files_are_held_and_large_ones_stay_where_they_are(tmp_path: Path, size: int) -> None:
    path = tmp_path / "templates" / "f"
    path.parent.mkdir()
    path.write_bytes(os.urandom(size))
    found = Templates(Project(tmp_path, tmp_path / "inventory.yml")).plain("f")
    assert found is not None
    content, blob = found
    assert content == (path if size > HELD_BYTES else path.read_bytes())
    assert (blob.hex, blob.size) == true_digest(path)
    assert local_content(path, StatDigests(Cache(tmp_path / "cache"))) == found
