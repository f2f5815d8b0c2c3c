"""The digests of a blob's pieces: a node that fetches it from another checks it by them while it comes."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from fleet.control.supply.cache import Cache
from fleet.control.supply.filepart import FilePart
from fleet.vocabulary.contracts.peers import PIECE_BYTES

_CHUNK_BYTES = 1 << 20
_KIND = "pieces"


def pieces_of(
    content: bytes | Path | FilePart, *, digest: str, size: int, piece_bytes: int = PIECE_BYTES
) -> tuple[str, ...]:
    """64 hex digits for each piece of the blob; none when the content is not, or not any more, that of its digest.

    `digest` is `sha256:HEX`. Reads all of it, a megabyte at a time. Raises OSError.
    """
    whole, found = hashlib.sha256(), list[str]()
    if isinstance(content, bytes):
        pieces = [content[at : at + piece_bytes] for at in range(0, size, piece_bytes)]
        whole.update(content)
        found = [hashlib.sha256(piece).hexdigest() for piece in pieces]
    else:
        path, start = (content, 0) if isinstance(content, Path) else (content.path, content.offset)
        buffer = memoryview(bytearray(min(_CHUNK_BYTES, piece_bytes)))
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            for at in range(0, size, piece_bytes):
                piece, left = hashlib.sha256(), min(piece_bytes, size - at)
                while left:
                    count = file.readinto(buffer[: min(left, len(buffer))]) or 0
                    if not count:
                        return ()
                    piece.update(buffer[:count])
                    whole.update(buffer[:count])
                    left -= count
                found.append(piece.hexdigest())
    return tuple(found) if f"sha256:{whole.hexdigest()}" == digest else ()


def hash_with_pieces(path: Path, *, piece_bytes: int = PIECE_BYTES) -> tuple[str, int, tuple[str, ...]]:
    """64 hex digits, the size, and those of the pieces of a file, read once. Raises OSError."""
    whole, piece, found, size = hashlib.sha256(), hashlib.sha256(), list[str](), 0
    buffer = memoryview(bytearray(min(_CHUNK_BYTES, piece_bytes)))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer[: min(len(buffer), piece_bytes - size % piece_bytes)]):
            piece.update(buffer[:count])
            whole.update(buffer[:count])
            size += count
            if size % piece_bytes == 0:
                found.append(piece.hexdigest())
                piece = hashlib.sha256()
    if size % piece_bytes:
        found.append(piece.hexdigest())
    return whole.hexdigest(), size, tuple(found)


def remembered(cache: Cache, digest: str) -> tuple[str, ...]:
    """The pieces of a blob whose pieces were hashed on this laptop before; else none."""
    found = (cache.recall(_KIND, _key(digest)) or {}).get("sha256")
    return tuple(map(str, found)) if isinstance(found, list) else ()


def remember(cache: Cache, digest: str, pieces: tuple[str, ...]) -> None:
    """Remember the pieces of a blob. What cannot be written is hashed again."""
    with contextlib.suppress(OSError):
        cache.remember(_KIND, _key(digest), {"sha256": list(pieces)})


def _key(digest: str) -> str:
    return f"{digest.removeprefix('sha256:')}-{PIECE_BYTES}"
