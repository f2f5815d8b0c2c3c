"""Folders as uncompressed tars that are the same bytes for the same content: sorted, no times, no owners."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from fleet.control.desired.supplies import Packed
from fleet.control.supply.cache import Cache
from fleet.errors import SupplyError


def pack_folder(folder: Path, *, cache: Cache, skip: Callable[[str], bool] = lambda _: False) -> Packed:
    """What lies below `folder` as a blob of the cache. `skip` is asked with each path relative to it."""
    with cache.incoming() as out:
        write_tar(folder, out, skip=skip)
        blob = cache.keep(out)
    return Packed(digest=blob.hex, archive=blob)


def pack_files(files: Mapping[str, bytes], *, cache: Cache) -> Packed:
    """Files by their paths, all of mode 0644, as a blob of the cache."""
    with cache.incoming() as out:
        with _tar(out) as tar:
            for folder in sorted({str(parent) for path in files for parent in _parents(path)}):
                tar.addfile(_entry(folder, tarfile.DIRTYPE, 0o755))
            for path, content in sorted(files.items()):
                entry = _entry(path, tarfile.REGTYPE, 0o644)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        blob = cache.keep(out)
    return Packed(digest=blob.hex, archive=blob)


def write_tar(folder: Path, out: BinaryIO, *, skip: Callable[[str], bool] = lambda _: False) -> None:
    """The tar of what lies below `folder`. Raises SupplyError for a link that leads outside and for odd files."""
    with _tar(out) as tar:
        for path in _walk(folder):
            name = path.relative_to(folder).as_posix()
            if skip(name):
                continue
            if path.is_symlink():
                entry = _entry(name, tarfile.SYMTYPE, 0o777)
                entry.linkname = _inside(name, path.readlink().as_posix())
                tar.addfile(entry)
            elif path.is_dir():
                tar.addfile(_entry(name, tarfile.DIRTYPE, 0o755))
            elif path.is_file():
                status = path.stat()
                entry = _entry(name, tarfile.REGTYPE, 0o755 if status.st_mode & 0o100 else 0o644)
                entry.size = status.st_size
                with path.open("rb") as content:
                    tar.addfile(entry, content)
            else:
                raise SupplyError(f"{path} is neither a file, a folder nor a link, and cannot be packed")


def _tar(out: BinaryIO) -> tarfile.TarFile:
    return tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT)


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.mode = mode
    return entry  # mtime, uid and gid are 0, the names of owner and group empty


def _walk(folder: Path) -> Iterable[Path]:
    for path in sorted(folder.iterdir(), key=lambda found: found.name):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def _inside(name: str, target: str) -> str:
    lands = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if target.startswith("/") or lands == ".." or lands.startswith("../"):
        raise SupplyError(f"{name} is a link that leads outside of its folder: {target}")
    return target


def _parents(path: str) -> Iterable[str]:
    parent = posixpath.dirname(path)
    while parent:
        yield parent
        parent = posixpath.dirname(parent)
