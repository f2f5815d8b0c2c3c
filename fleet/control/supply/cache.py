"""The laptop's store of what nodes are sent: content-addressed, atomic, safe for two processes.

    ROOT/blobs/ab/abcd...     bytes by their SHA-256
    ROOT/refs/KIND/KEY.json   what was made from what (an env of a lock, a folder of a model)
    ROOT/locks/KIND-KEY       held while something is made, so that it is made once
    ROOT/tmp/                 on its way in

A missing or foreign file only costs work: everything can be made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fleet.vocabulary.contracts.codec import canonical
from fleet.vocabulary.contracts.desired import Blob


def default_root() -> Path:
    """$FLEET_CACHE, else the system's place for caches."""
    if given := os.environ.get("FLEET_CACHE"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/fleet"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleet"


class Cache:
    """The store under one folder, which is made when it is needed."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()

    def blob_path(self, digest: str) -> Path:
        """Where the bytes of `sha256:HEX` (or HEX) lie, whether or not they are there."""
        name = digest.removeprefix("sha256:")
        return self.root / "blobs" / name[:2] / name

    def has(self, digest: str) -> bool:
        """Whether the bytes are there."""
        return self.blob_path(digest).is_file()

    def add(self, data: bytes) -> Blob:
        """Keep bytes."""
        with self.incoming() as file:
            file.write(data)
            return self.keep(file)

    @contextlib.contextmanager
    def incoming(self) -> Iterator[BinaryIO]:
        """A new file to write to; gone afterwards unless `keep` took it."""
        with tempfile.NamedTemporaryFile(dir=self._tmp(), delete=False) as file:
            path = Path(file.name)
            try:
                yield file  # type: ignore[misc] # a BinaryIO in all but name
            finally:
                path.unlink(missing_ok=True)

    def keep(self, file: BinaryIO) -> Blob:
        """Give an incoming file its digest and its place."""
        file.flush()
        os.fsync(file.fileno())
        path = Path(file.name)
        digest, size = hash_file(path)
        place = self.blob_path(digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.chmod(0o644)
        path.replace(place)
        return Blob(digest=f"sha256:{digest}", size=size)

    @contextlib.contextmanager
    def work_folder(self) -> Iterator[Path]:
        """An empty folder on the cache's disk; gone afterwards."""
        folder = Path(tempfile.mkdtemp(dir=self._tmp()))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def recall(self, kind: str, key: str) -> dict[str, object] | None:
        """What was remembered. Unreadable is nothing."""
        try:
            found = json.loads(self._ref(kind, key).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def remember(self, kind: str, key: str, value: dict[str, object]) -> None:
        """Remember what was made."""
        path = self._ref(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._tmp(), delete=False) as file:
            file.write(canonical(value))
        Path(file.name).replace(path)

    def recall_blob(self, kind: str, key: str) -> Blob | None:
        """A remembered blob whose bytes are still there whole."""
        found = self.recall(kind, key) or {}
        digest, size = found.get("digest"), found.get("size")
        if not isinstance(digest, str) or not isinstance(size, int):
            return None
        try:
            whole = self.blob_path(digest).stat().st_size == size
        except OSError:
            return None
        return Blob(digest=digest, size=size) if whole else None

    def remember_blob(self, kind: str, key: str, blob: Blob) -> None:
        """Remember which blob was made."""
        self.remember(kind, key, {"digest": blob.digest, "size": blob.size})

    @contextlib.contextmanager
    def making(self, kind: str, key: str) -> Iterator[None]:
        """Held by one process and thread at a time per thing that is made."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{kind}-{key}").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _ref(self, kind: str, key: str) -> Path:
        return self.root / "refs" / kind / f"{key}.json"

    def _tmp(self) -> Path:
        folder = self.root / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def hash_file(path: Path) -> tuple[str, int]:
    """64 hex digits and the size of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return digest.hexdigest(), file.tell()
