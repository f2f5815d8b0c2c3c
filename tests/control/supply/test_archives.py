"""Archives: what is fetched is what is pinned, what is unpacked stays inside, and one pin is one tree."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from fleet.control.desired.supplies import ArchiveNeed
from fleet.control.supply.archives import build_archive
from fleet.control.supply.cache import Cache
from fleet.control.supply.download import download
from fleet.control.supply.unarchive import Limits, unarchive
from fleet.errors import SupplyError

LOCK = '{"packages": {"": {}, "node_modules/a": {"version": "1.0.0", "integrity": "sha512-x"}}}'


def entry(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    info.size = 1 if kind == tarfile.REGTYPE else 0
    return info


def a_tar(*members: tarfile.TarInfo, kind: str = "w:gz") -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=kind) as tar:  # type: ignore[call-overload]
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return raw.getvalue()


def a_zip(*names: str, link: str = "", executable: bool = False) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            mode = stat.S_IFLNK | 0o777 if link else stat.S_IFREG | (0o755 if executable else 0o644)
            info.external_attr = mode << 16
            archive.writestr(info, link or "x")
    return raw.getvalue()


def unpacked(place: Path, raw: bytes, **how: Any) -> Path:
    """The folder of what was unpacked."""
    archive, folder = place / "archive", place / "folder"
    archive.write_bytes(raw)
    folder.mkdir()
    unarchive(archive, folder, **how)
    return folder


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


BAD = {
    "absolute": a_tar(entry("/etc/x")),
    "up": a_tar(entry("../x")),
    "up and up": a_tar(entry("a/../../x")),
    "a link to a folder of the system": a_tar(entry("a", tarfile.SYMTYPE, link="/etc")),
    "a link up": a_tar(entry("a", tarfile.SYMTYPE, link="..")),
    "a link further up": a_tar(entry("a/b", tarfile.SYMTYPE, link="../../x")),
    "through a link": a_tar(entry("d", tarfile.DIRTYPE), entry("a", tarfile.SYMTYPE, link="d"), entry("a/x")),
    "a twin of what is outside": a_tar(entry("a", tarfile.LNKTYPE, link="../x")),
    "a twin of nothing": a_tar(entry("a", tarfile.LNKTYPE, link="later")),
    "a pipe": a_tar(entry("a", tarfile.FIFOTYPE)),
    "a device": a_tar(entry("a", tarfile.CHRTYPE)),
    "twice": a_tar(entry("a"), entry("a")),
    "alike but for case": a_tar(entry("Readme"), entry("README")),
    "folders alike but for case": a_tar(entry("lib/a"), entry("LIB/b")),
    "zip: up": a_zip("../x"),
    "zip: absolute": a_zip("/x"),
    "zip: backslashes": a_zip("a\\..\\x"),
    "zip: a link to the system": a_zip("a", link="/etc"),
    "zip: a link up": a_zip("a/b", link="../../x"),
    "neither": b"neither",
    "empty": b"",
    "cut": a_tar(*(entry(str(number)) for number in range(500)))[:200],
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD.keys())
def test_what_reaches_outside_or_cannot_be_on_a_mac_is_refused(tmp_path: Path, raw: bytes) -> None:
    archive, folder = tmp_path / "archive", tmp_path / "folder"
    archive.write_bytes(raw)
    folder.mkdir()
    with pytest.raises(SupplyError):
        unarchive(archive, folder)
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "folder"}


@pytest.mark.parametrize("kind", ["w", "w:gz", "w:xz", "w:bz2"])
def test_a_tar_of_any_compression_loses_its_first_folder_and_keeps_what_may_be_run(tmp_path: Path, kind: str) -> None:
    raw = a_tar(
        entry("node-v1/", tarfile.DIRTYPE),
        entry("node-v1/bin/node", mode=0o6755),
        entry("node-v1/bin/npm", tarfile.SYMTYPE, link="../lib/npm.js"),
        entry("node-v1/lib/npm.js"),
        entry("node-v1/lib/twin", tarfile.LNKTYPE, link="node-v1/bin/node"),
        kind=kind,
    )
    folder = unpacked(tmp_path, raw, strip=1)
    assert files_of(folder) == {"bin/node", "bin/npm", "lib/npm.js", "lib/twin"}
    assert stat.S_IMODE((folder / "bin/node").stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "lib/npm.js").stat().st_mode) == 0o644
    assert (folder / "bin/npm").read_bytes() == b"x"


def test_a_zip_is_unpacked_with_what_may_be_run(tmp_path: Path) -> None:
    folder = unpacked(tmp_path, a_zip("top/a/run.sh", executable=True), strip=1)
    assert os.access(folder / "a/run.sh", os.X_OK)


def test_too_much_stripped_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(SupplyError, match="nothing of archive is left"):
        unpacked(tmp_path, a_tar(entry("a/b")), strip=2)


def test_more_than_the_limits_is_refused(tmp_path: Path) -> None:
    raw = a_tar(entry("a"), entry("b"), entry("c"))
    for number, limits in enumerate((Limits(members=2), Limits(size_bytes=2))):
        place = tmp_path / str(number)
        place.mkdir()
        with pytest.raises(SupplyError, match="unpacks to more than"):
            unpacked(place, raw, limits=limits)


class Site:
    """A web site with one file, whose answers break off after so many bytes."""

    def __init__(self, content: bytes) -> None:
        self.content, self.cut, self.asked = content, len(content), list[str]()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.headers.get("Range", ""))
                begin = int(site.asked[-1].removeprefix("bytes=").rstrip("-") or 0)
                self.send_response(206 if begin else 200)
                self.send_header("Content-Length", str(len(site.content) - begin))
                self.end_headers()
                self.wfile.write(site.content[begin : begin + site.cut])

            def log_message(self, *_: object) -> None:
                """Nothing is said."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/node.tar.gz"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site(a_tar(entry("node/bin/node", mode=0o755)))
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_cut_download_goes_on_where_it_was_and_is_not_made_twice(tmp_path: Path, site: Site) -> None:
    cache, site.cut = Cache(tmp_path), len(site.content) // 2 + 1
    digest = hashlib.sha256(site.content).hexdigest()
    blob = download(site.url, sha256=digest, cache=cache, pause=lambda _: None)
    assert cache.blob_path(blob.digest).read_bytes() == site.content
    assert site.asked == ["", f"bytes={site.cut}-"]
    assert download(site.url, sha256=digest, cache=cache) == blob
    assert len(site.asked) == 2


def test_what_is_not_the_pinned_file_is_kept_nowhere(tmp_path: Path, site: Site) -> None:
    cache = Cache(tmp_path)
    with pytest.raises(SupplyError, match="is not what is pinned"):
        download(site.url, sha256="0" * 64, cache=cache, pause=lambda _: None)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "locks"] == []


def test_a_site_that_gives_nothing_is_given_up(tmp_path: Path, site: Site) -> None:
    site.cut = 0
    with pytest.raises(SupplyError, match="cannot be fetched"):
        download(site.url, sha256="0" * 64, cache=Cache(tmp_path), pause=lambda _: None)
    assert len(site.asked) == 5


def test_one_pin_is_one_tree_wherever_it_comes_from(tmp_path: Path) -> None:
    raw = a_tar(entry("node/bin/node", mode=0o755))
    path = tmp_path / "node.tar.gz"
    path.write_bytes(raw)
    pin = hashlib.sha256(raw).hexdigest()
    one = build_archive(ArchiveNeed(name="n", sha256=pin, path=path, strip=1), cache=Cache(tmp_path / "a"))
    other = build_archive(ArchiveNeed(name="m", sha256=pin, url=path.as_uri(), strip=1), cache=Cache(tmp_path / "b"))
    assert one == other
    with tarfile.open(Cache(tmp_path / "a").blob_path(one.archive.digest)) as tar:
        assert tar.getnames() == ["bin", "bin/node"]


def test_a_file_of_the_project_that_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(a_zip("a"))
    with pytest.raises(SupplyError, match=r"x\.zip is not what is pinned"):
        build_archive(ArchiveNeed(name="x", sha256="0" * 64, path=path), cache=Cache(tmp_path / "cache"))


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock, and an npm that says how it was called."""
    folder = tmp_path / "locks" / "tool"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text("{}")
    (folder / "package-lock.json").write_text(LOCK)
    npm = tmp_path / "npm.py"
    npm.write_text(
        "import pathlib, sys\n"
        "if 'refused' in pathlib.Path('package.json').read_text(): sys.exit('E404 no such package')\n"
        "pathlib.Path('node_modules/a').mkdir(parents=True)\n"
        "pathlib.Path('node_modules/a/words').write_text(' '.join(sys.argv[1:]))\n"
    )
    monkeypatch.setenv("FLEET_NPM", f"{sys.executable} {npm}")
    return folder


def need_of(folder: Path, platform: str = "macos-arm64") -> ArchiveNeed:
    texts = [(folder / name).read_bytes() for name in ("package.json", "package-lock.json")]
    digest = hashlib.sha256(b"".join(texts)).hexdigest()
    return ArchiveNeed(name="tool", sha256=digest, path=folder, npm=True, platform=platform)


def test_packages_are_installed_for_macs_and_without_scripts(tmp_path: Path, lock: Path) -> None:
    cache = Cache(tmp_path / "cache")
    packed = build_archive(need_of(lock), cache=cache)
    with tarfile.open(cache.blob_path(packed.archive.digest)) as tar:
        words = tar.extractfile("node_modules/a/words")
        assert words is not None
        said = words.read().decode()
    assert said.startswith("ci --ignore-scripts")
    assert said.endswith("--os=darwin --cpu=arm64")
    assert build_archive(need_of(lock), cache=cache) == packed
    assert build_archive(need_of(lock, "this-machine"), cache=cache) != packed


def test_npm_that_fails_is_told_in_its_own_words(tmp_path: Path, lock: Path) -> None:
    (lock / "package.json").write_text('{"name": "refused"}')
    with pytest.raises(SupplyError) as refused:
        build_archive(need_of(lock), cache=Cache(tmp_path / "cache"))
    assert "E404 no such package" in refused.value.detail


def test_without_npm_it_says_what_is_missing(tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEET_NPM")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SupplyError, match="npm is not on this machine"):
        build_archive(need_of(lock), cache=Cache(tmp_path / "cache"))


@pytest.mark.parametrize(
    "package", ['{"version": "1.0.0"}', '{"link": true}', '{"resolved": "git+ssh://example.com/x.git"}']
)
def test_a_lock_that_does_not_pin_everything_by_hash_is_refused(tmp_path: Path, lock: Path, package: str) -> None:
    (lock / "package-lock.json").write_text(f'{{"packages": {{"node_modules/a": {package}}}}}')
    with pytest.raises(SupplyError, match="does not pin everything by hash"):
        build_archive(need_of(lock), cache=Cache(tmp_path / "cache"))


def test_a_lock_that_is_none_is_one_message(tmp_path: Path, lock: Path) -> None:
    (lock / "package-lock.json").write_text("[]")
    with pytest.raises(SupplyError, match="the lock of tool cannot be read"):
        build_archive(need_of(lock), cache=Cache(tmp_path / "cache"))
