"""The store and the packer: the same content is the same bytes, whoever packed it, however many at once."""

from __future__ import annotations

import hashlib
import os
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.control.supply.cache import Cache, default_root
from fleet.control.supply.pack import pack_files, pack_folder
from fleet.errors import SupplyError

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="/"), min_size=1, max_size=12)
TREES = st.dictionaries(
    st.lists(NAMES.filter(lambda name: name not in {".", ".."}), min_size=1, max_size=3).map(tuple),
    st.tuples(st.binary(max_size=40), st.booleans()),
    max_size=6,
)


def lay(folder: Path, tree: dict[tuple[str, ...], tuple[bytes, bool]], *, stamp: int, order: int) -> None:
    folder.mkdir(parents=True)
    for parts, (content, executable) in sorted(tree.items())[::order]:
        path = folder.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError:  # a name that is both a file and a folder
            continue
        path.chmod(0o700 if executable else 0o600 + stamp % 64)
        os.utime(path, (stamp, stamp))


@given(tree=TREES, stamps=st.tuples(st.integers(0, 2**31), st.integers(0, 2**31)))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_two_folders_of_the_same_content_pack_equal(
    tree: dict[tuple[str, ...], tuple[bytes, bool]], stamps: tuple[int, int], tmp_path: Path
) -> None:
    tree = {path: value for path, value in tree.items() if not any(path[:n] in tree for n in range(1, len(path)))}
    cache = Cache(tmp_path / "cache")
    with cache.work_folder() as work:
        lay(work / "one", tree, stamp=stamps[0], order=1)
        lay(work / "two", tree, stamp=stamps[1], order=-1)
        assert pack_folder(work / "one", cache=cache) == pack_folder(work / "two", cache=cache)


def test_a_pack_unpacks_to_what_was_packed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python3.12").write_bytes(b"x" * 3000)
    (folder / "bin/python3.12").chmod(0o755)
    (folder / "bin/python3").symlink_to("python3.12")
    (folder / ("n" * 120)).write_text("long name")
    (folder / "empty").mkdir()
    cache = Cache(tmp_path / "cache")
    packed = pack_folder(folder, cache=cache, skip=lambda path: path == "skipped")
    with tarfile.open(cache.blob_path(packed.archive.digest)) as tar:
        tar.extractall(tmp_path / "out", filter="data")
        assert {(entry.mtime, entry.uid, entry.uname) for entry in tar.getmembers()} == {(0, 0, "")}
    assert (tmp_path / "out/bin/python3").read_bytes() == b"x" * 3000
    assert (tmp_path / "out/bin/python3").is_symlink()
    assert (tmp_path / "out" / ("n" * 120)).read_text() == "long name"
    assert (tmp_path / "out/empty").is_dir()
    assert (
        packed.digest == packed.archive.hex == hashlib.sha256(cache.blob_path(packed.digest).read_bytes()).hexdigest()
    )


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "a/../../outside"])
def test_a_link_that_leads_outside_is_not_packed(tmp_path: Path, target: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to(target)
    with pytest.raises(SupplyError, match="outside"):
        pack_folder(tmp_path / "folder", cache=Cache(tmp_path / "cache"))


def test_files_by_path_pack_like_the_folder_that_holds_them(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    (tmp_path / "folder/a/b").mkdir(parents=True)
    (tmp_path / "folder/a/b/c.py").write_text("x = 1")
    (tmp_path / "folder/z.py").write_text("")
    packed = pack_files({"z.py": b"", "a/b/c.py": b"x = 1"}, cache=cache)
    with tarfile.open(cache.blob_path(packed.digest)) as tar:
        names = tar.getnames()
    assert names == ["a", "a/b", "a/b/c.py", "z.py"]
    folder = pack_folder(tmp_path / "folder", cache=cache)
    assert folder.digest == packed.digest


def test_many_writers_of_one_thing_make_it_once(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> None:
        cache = Cache(tmp_path)
        with cache.making("env", "k"):
            if cache.recall_blob("env", "k") is None:
                made.append(1)
                cache.remember_blob("env", "k", cache.add(b"content"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    assert not list((tmp_path / "tmp").iterdir())


def test_a_remembered_blob_that_is_gone_or_cut_is_not_remembered(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    blob = cache.add(b"content")
    cache.remember_blob("env", "k", blob)
    assert cache.recall_blob("env", "k") == blob
    cache.blob_path(blob.digest).write_bytes(b"cont")
    assert cache.recall_blob("env", "k") is None
    (tmp_path / "refs/env/k.json").write_text("{")
    assert cache.recall("env", "k") is None


def test_the_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLEET_CACHE", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("FLEET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert default_root() == tmp_path / "fleet"
