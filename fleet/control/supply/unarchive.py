"""Unpacking what was fetched: a tar or a zip into an empty folder, where nothing may lie, or point, outside of it."""

from __future__ import annotations

import posixpath
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from fleet.errors import SupplyError

MOST_BYTES = 16 * 1024**3
MOST_MEMBERS = 500_000
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an archive may hold: a small file may unpack to more than any disk."""

    size_bytes: int = MOST_BYTES
    members: int = MOST_MEMBERS


@dataclass(frozen=True, kw_only=True)
class Member:
    """One thing of an archive. `target` is a link's; a `twin` is a hard link to another member."""

    path: str
    kind: Literal["folder", "file", "link", "twin"]
    executable: bool = False
    target: str = ""
    size_bytes: int = 0
    content: Callable[[], IO[bytes]] | None = None


def unarchive(archive: Path, folder: Path, *, strip: int = 0, limits: Limits = Limits()) -> None:
    """Unpack `archive` into the empty `folder` without its `strip` leading folders. Raises SupplyError.

    Owners, times and modes are left behind, but for whether a file may be executed.
    """
    members, unpacked_bytes, seen = 0, 0, dict[str, str]()
    try:
        for member in _members(archive):
            members += 1
            unpacked_bytes += member.size_bytes
            if members > limits.members or unpacked_bytes > limits.size_bytes:
                raise SupplyError(
                    f"{archive.name} unpacks to more than {limits.size_bytes} bytes or {limits.members} files"
                )
            name = _stripped(_inside(member.path), strip)
            if name:
                _refuse_twice(name, member, seen)
                _put(member, name, folder, strip)
    except (tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, RuntimeError) as error:
        raise SupplyError(f"{archive.name} cannot be unpacked", detail=str(error)) from error
    if not any(folder.iterdir()):
        hint = f"strip: {strip} may be too much" if strip else ""
        raise SupplyError(f"nothing of {archive.name} is left", hint=hint)


def _members(archive: Path) -> Iterator[Member]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield from _of_zip(zipped)
    else:
        with tarfile.open(archive, "r:*") as tar:
            yield from (_of_tar(tar, one) for one in tar)


def _of_tar(tar: tarfile.TarFile, one: tarfile.TarInfo) -> Member:
    if one.isdir():
        return Member(path=one.name, kind="folder")
    if one.issym():
        return Member(path=one.name, kind="link", target=one.linkname)
    if one.islnk():
        return Member(path=one.name, kind="twin", target=one.linkname)
    if not one.isreg():
        raise SupplyError(f"{one.name} is neither a file, a folder nor a link")

    def content() -> IO[bytes]:
        found = tar.extractfile(one)
        assert found is not None  # a regular file has content
        return found

    return Member(path=one.name, kind="file", executable=bool(one.mode & 0o100), size_bytes=one.size, content=content)


def _of_zip(zipped: zipfile.ZipFile) -> Iterator[Member]:
    for one in zipped.infolist():
        mode = one.external_attr >> 16
        if one.is_dir():
            yield Member(path=one.filename, kind="folder")
        elif stat.S_ISLNK(mode):
            target = zipped.read(one).decode("utf-8", "replace") if one.file_size < 4096 else "/"
            yield Member(path=one.filename, kind="link", target=target)
        else:
            size = one.file_size

            def content(name: zipfile.ZipInfo = one) -> IO[bytes]:
                return zipped.open(name)

            yield Member(
                path=one.filename, kind="file", executable=bool(mode & 0o100), size_bytes=size, content=content
            )


def _inside(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\\" in path or not path.isprintable():
        raise SupplyError(f"an archive reaches outside of its folder: {path!r}")
    return "/".join(parts)


def _stripped(path: str, count: int) -> str:
    return "/".join(path.split("/")[count:])


def _refuse_twice(name: str, member: Member, seen: dict[str, str]) -> None:
    """A Mac's disk takes `A` for `a`: what this laptop keeps apart would be one file there."""
    for path in (name, *_parents(name)):
        other = seen.setdefault(path.casefold(), path)
        if other != path:
            raise SupplyError(f"{other} and {path} are one and the same on a Mac's disk")
    if member.kind != "folder":
        key = f"{name.casefold()}/"
        if key in seen:
            raise SupplyError(f"{name} is in the archive twice")
        seen[key] = name


def _put(member: Member, name: str, folder: Path, strip: int) -> None:
    path = folder / name
    _refuse_way_through_link(path, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    match member.kind:
        case "folder":
            path.mkdir(exist_ok=True)
        case "link":
            lands = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.target))
            if member.target.startswith("/") or lands == ".." or lands.startswith("../") or not member.target:
                raise SupplyError(f"{name} is a link that leads outside of its folder: {member.target}")
            path.symlink_to(member.target)
        case "twin":
            origin = folder / _stripped(_inside(member.target), strip)
            _refuse_way_through_link(origin, folder)
            if origin.is_symlink() or not origin.is_file():
                raise SupplyError(f"{name} is a second name of {member.target}, which is no file before it")
            shutil.copy(origin, path)
        case "file":
            assert member.content is not None  # every file has one
            with closing(member.content()) as source, path.open("xb") as out:
                _copy(source, out, member)
            path.chmod(0o755 if member.executable else 0o644)


def _copy(source: IO[bytes], out: IO[bytes], member: Member) -> None:
    """No more than was announced: a zip's own word of a member's size is not to be trusted."""
    left = member.size_bytes
    while block := source.read(_BLOCK_BYTES):
        left -= len(block)
        if left < 0:
            raise SupplyError(f"{member.path} is larger than its archive says")
        out.write(block)


def _refuse_way_through_link(path: Path, folder: Path) -> None:
    if path.is_symlink() or any(parent.is_symlink() for parent in path.parents if folder in parent.parents):
        raise SupplyError(f"an archive reaches through a link: {path.relative_to(folder)}")


def _parents(name: str) -> Iterator[str]:
    while name := posixpath.dirname(name):
        yield name
