"""How to see that a secret is still what it was, without looking at it."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Version:
    """`mark` is another one when the secret is. `changed_at` is when it last changed, in seconds since the epoch."""

    mark: str
    changed_at: float | None = None


def file_version(status: os.stat_result) -> Version:
    """The version of a file: who writes it anew cannot keep all of these."""
    parts = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
    return Version(":".join(map(str, parts)), status.st_mtime)
