"""Looks for a phrase in files as it may stand there: plain, as hex or base64, wide, packed, or in a file's name."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

_GZIP = b"\x1f\x8b"


def files_with(folder: Path, phrase: str) -> tuple[int, list[Path]]:
    """How many files below a folder were searched, and those that have the phrase."""
    wanted = clothes(phrase)
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return len(files), [path for path in files if any(one in part for part in _parts(path) for one in wanted)]


def clothes(phrase: str) -> tuple[bytes, ...]:
    """What it may look like. Base64 is the same wherever it begins but for what it shares with its neighbours."""
    encoded = [base64.b64encode(b"x" * shift + phrase.encode())[4:-4] for shift in range(3)]
    return (phrase.encode(), phrase.encode().hex().encode(), phrase.encode("utf-16-le"), *encoded)


def _parts(path: Path) -> Iterator[bytes]:
    """A file as it is with its name, and what is packed in it."""
    content = path.read_bytes()
    yield content + bytes(path)
    yield from _unpacked(content)


def _unpacked(content: bytes) -> Iterator[bytes]:
    if content[:2] != _GZIP:
        return
    inside = gzip.decompress(content)
    yield inside
    packed = io.BytesIO(inside)
    if tarfile.is_tarfile(packed):
        packed.seek(0)
        with tarfile.open(fileobj=packed) as archive:
            for member in archive:
                held = archive.extractfile(member)
                if held is not None:
                    yield from _unpacked(held.read())
