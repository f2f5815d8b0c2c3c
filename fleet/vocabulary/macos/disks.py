"""`df -h`: room on file systems, as far as its rounded figures say. Standard library only.

The agent asks statvfs instead; this reads what a person or an old recording shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SIZE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(Bi|Ki|Mi|Gi|Ti|Pi)")
_POWERS = {"Bi": 0, "Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5}
_SIZE_COLUMN, _AVAILABLE_COLUMN, _FEWEST_COLUMNS = 1, 3, 6


@dataclass(frozen=True, kw_only=True)
class FileSystem:
    """One line of `df`. All volumes of an APFS container share the available bytes."""

    device: str
    mount: str
    total_bytes: int | None = None
    available_bytes: int | None = None


def parse_df(text: str) -> tuple[FileSystem, ...]:
    """What `df -h` printed, with or without the inode columns; a mount point may contain blanks."""
    lines = text.splitlines()
    columns = next((len(line.split()) - 1 for line in lines if line.startswith("Filesystem")), 0)
    found: list[FileSystem] = []
    for line in lines:
        words = line.split(None, columns - 1) if columns >= _FEWEST_COLUMNS else []
        if len(words) == columns and columns and words[-1].startswith("/"):
            found.append(
                FileSystem(
                    device=words[0],
                    mount=words[-1].rstrip(),
                    total_bytes=_bytes(words[_SIZE_COLUMN]),
                    available_bytes=_bytes(words[_AVAILABLE_COLUMN]),
                )
            )
    return tuple(found)


def _bytes(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    return int(float(match[1]) * 1024 ** _POWERS[match[2]]) if match else None
