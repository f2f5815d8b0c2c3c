"""Files that go to nodes as they stand: small ones are held, of large ones the path and what they were hashed to."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from fleet.vocabulary.contracts.desired import Blob

HELD_BYTES = 256 * 1024
"""What is larger stays on the disk, and is no text that a plan would show."""

LocalContent = bytes | Path
"""Bytes, or the file that holds them."""


class FileDigests(Protocol):
    """Says what files hash to."""

    def digest(self, path: Path) -> tuple[str, int]:
        """64 hex digits, and the size. Raises OSError."""
        ...


class Hashing:
    """Reads a file for that, a piece at a time."""

    def digest(self, path: Path) -> tuple[str, int]:
        """64 hex digits, and the size. Raises OSError."""
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            return found, file.tell()


def local_content(path: Path, digests: FileDigests) -> tuple[LocalContent, Blob]:
    """What a file holds, or its path when it is large, and its blob. Raises OSError."""
    if path.stat().st_size <= HELD_BYTES:
        content = path.read_bytes()
        return content, Blob(digest=f"sha256:{hashlib.sha256(content).hexdigest()}", size=len(content))
    digest, size = digests.digest(path)
    return path, Blob(digest=f"sha256:{digest}", size=size)
