"""Bytes that lie in the middle of a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class FilePart:
    """`size` bytes of a file from `offset`."""

    path: Path
    offset: int
    size: int
