"""`df -h`, `df -kP`: room on file systems. Standard library only.

The agent asks statvfs instead; `df -h` is what a person or an old recording shows, `-kP` what a probe asks for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SIZE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(Bi|Ki|Mi|Gi|Ti|Pi)")
_POSIX = re.compile(r"^(/\S.*?|\S+)\s+([0-9]{1,15})\s+[0-9]{1,15}\s+([0-9]{1,15})\s+[0-9]{1,3}%\s+(/.*)$", re.MULTILINE)
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


def parse_df_kp(text: str) -> FileSystem | None:
    """The first line of `df -kP PATH`: KiB, one line a volume, whatever the names are."""
    match = _POSIX.search(text)
    if match is None:
        return None
    size, available = int(match[2]) * 1024, int(match[3]) * 1024
    return FileSystem(device=match[1], mount=match[4].rstrip(), total_bytes=size, available_bytes=available)


def _bytes(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    return int(float(match[1]) * 1024 ** _POWERS[match[2]]) if match else None
