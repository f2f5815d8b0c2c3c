"""What large files hash to, remembered by their stats: a plan does not read two gigabytes each time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from fleet.control.supply.cache import Cache, hash_file

_KIND = "file-digest"
_SETTLED_NS = 2_000_000_000
"""A file that changed just now may change again within one tick of its filesystem's clock."""


class StatDigests:
    """Digests by path, size, inode, modification and change times, as git's index counts a file."""

    def __init__(self, cache: Cache, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._cache = cache
        self._now_ns = now_ns

    def digest(self, path: Path) -> tuple[str, int]:
        """64 hex digits, and the size. Reads the file when it is not the one that was read before. Raises OSError."""
        before = path.stat()
        key = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
        stats = _stats(before)
        known = self._cache.recall(_KIND, key) or {}
        if known.get("stats") == stats and isinstance(known.get("sha256"), str):
            return str(known["sha256"]), before.st_size
        digest, size = hash_file(path)
        settled = max(before.st_mtime_ns, before.st_ctime_ns) + _SETTLED_NS < self._now_ns()
        if settled and _stats(path.stat()) == stats:
            with contextlib.suppress(OSError):
                self._cache.remember(_KIND, key, {"stats": stats, "sha256": digest})
        return digest, size


def _stats(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns} {found.st_ctime_ns} {found.st_size} {found.st_ino} {found.st_dev}"
