"""Unpacking archives: nothing of them may lie, or point, outside; and a list of what came stays beside it."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from fleet.node.sync.problem import Problem
from fleet.vocabulary.contracts.codec import ContractError, canonical, decode

MANIFEST = ".fleet-files.json"


def read_manifest(raw: bytes | None) -> dict[str, str] | None:
    """SHA-256 (64 hex digits) by name of a tree's files, as `unpack` listed them; None when there is no list."""
    try:
        return decode(raw, dict[str, str]) if raw else None
    except ContractError:
        return None


def unpack(archive: str, folder: str, *, wrote: Callable[[int], None] = lambda _: None) -> None:
    """Unpack a tar into an empty folder; nothing of it may lie, or point, outside. Raises Problem.

    Owners are those of the process, times are kept, modes lose what others could write. A list of what came, with
    digests, is put beside it (MANIFEST). `wrote` hears of every piece that was written, in bytes.
    """
    digests: dict[str, str] = {}
    try:
        with tarfile.open(archive, mode="r:") as tar:
            for member in tar:
                _unpack_member(tar, member, Path(folder), digests, wrote)
        Path(folder, MANIFEST).write_bytes(canonical(digests))
    except (tarfile.TarError, EOFError) as error:
        raise Problem("an archive cannot be read", code="archive", detail=str(error)) from error


def _unpack_member(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    folder: Path,
    digests: dict[str, str],
    wrote: Callable[[int], None],
) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\0" in member.name:
        raise _outside(member.name)
    path = folder / name
    if any(parent.is_symlink() for parent in _below(path, folder)) or path.is_symlink():
        raise _outside(member.name)
    if member.isdir():
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif member.issym():
        target = PurePosixPath(member.linkname)
        if target.is_absolute() or _climbs(name.parent, target):
            raise _outside(f"{member.name} -> {member.linkname}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(member.linkname)
    elif member.islnk():
        linked = PurePosixPath(member.linkname)
        origin = folder / linked
        if (
            linked.is_absolute()
            or ".." in origin.parts
            or origin.is_symlink()
            or any(parent.is_symlink() for parent in _below(origin, folder))
        ):
            raise _outside(f"{member.name} -> {member.linkname}")
        os.link(origin, path, follow_symlinks=False)
        digests[str(name)] = digests.get(str(linked), "")
    elif member.isreg():
        path.parent.mkdir(parents=True, exist_ok=True)
        source = tar.extractfile(member)
        if source is None:
            raise _outside(member.name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        hasher = hashlib.sha256()
        with os.fdopen(descriptor, "wb") as file:
            while block := source.read(1 << 20):
                file.write(block)
                hasher.update(block)
                wrote(len(block))
            os.fchmod(file.fileno(), member.mode & 0o755 | 0o400)
        os.utime(path, (member.mtime, member.mtime))
        digests[str(name)] = hasher.hexdigest()
    else:
        raise Problem(f"an archive holds something that is no file: {member.name}", code="archive")


def _below(path: Path, folder: Path) -> Iterator[Path]:
    return (parent for parent in path.parents if parent != folder and folder in parent.parents)


def _climbs(place: PurePosixPath, target: PurePosixPath) -> bool:
    """Whether a relative link in `place` may leave the folder: steps up come first, and no more than there are."""
    ups = 0
    while ups < len(target.parts) and target.parts[ups] == "..":
        ups += 1
    return ups > len(place.parts) or ".." in target.parts[ups:]


def _outside(name: str) -> Problem:
    return Problem(f"an archive reaches outside of its folder: {name}", code="archive")
