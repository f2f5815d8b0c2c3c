"""Archives of a playbook: fetched or built here, unpacked safely and packed anew, so that one pin is one tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fleet.control.desired.supplies import ArchiveNeed, Packed
from fleet.control.supply.archivekey import archive_key
from fleet.control.supply.cache import Cache, hash_file
from fleet.control.supply.download import download
from fleet.control.supply.npmtree import NPM_DIARY, install_npm
from fleet.control.supply.pack import pack_folder
from fleet.control.supply.unarchive import unarchive
from fleet.errors import SupplyError


def build_archive(need: ArchiveNeed, *, cache: Cache, notify: Callable[[str], None] = lambda _: None) -> Packed:
    """The packed folder, from the cache where it was made before. Raises SupplyError."""
    key = archive_key(need)
    with cache.making("archive", key):
        found = cache.recall_blob("archive", key)
        if found is None:
            found = _made(need, cache, notify).archive
            cache.remember_blob("archive", key, found)
    return Packed(digest=found.hex, archive=found)


def _made(need: ArchiveNeed, cache: Cache, notify: Callable[[str], None]) -> Packed:
    with cache.work_folder() as work:
        folder = work / "archive"
        folder.mkdir()
        if need.npm:
            assert need.path is not None  # an npm tree lies in the project
            notify(f"installing the packages of {need.name}")
            install_npm(need.path, folder, name=need.name, sha256=need.sha256, platform=need.platform)
        else:
            unarchive(_pinned(need, cache, notify), folder, strip=need.strip)
        return pack_folder(folder, cache=cache, skip=lambda path: path == NPM_DIARY)


def _pinned(need: ArchiveNeed, cache: Cache, notify: Callable[[str], None]) -> Path:
    """The archive itself, which is what its pin says."""
    if need.url is not None:
        notify(f"fetching {need.name}")
        return cache.blob_path(download(need.url, sha256=need.sha256, cache=cache).digest)
    assert need.path is not None  # one of the two is given
    try:
        digest, _ = hash_file(need.path)
    except OSError as error:
        raise SupplyError(f"{need.path} cannot be read", detail=error.strerror or str(error)) from None
    if digest != need.sha256:
        raise SupplyError(
            f"{need.path.name} is not what is pinned", detail=f"expected sha256 {need.sha256}\nfound    sha256 {digest}"
        )
    return need.path
