"""Where room on disks is read: statvfs, or the recorded `df.txt` of a machine that `readings` names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fleet.node.agent.sampler import read_disk
from fleet.vocabulary.contracts.snapshot import Disk
from fleet.vocabulary.macos.disks import parse_df_kp

_MOST_BYTES = 64 * 1024


def disk_source(readings: str) -> Callable[[str], Disk]:
    """What reads the disk of a mount point, of the machine that `readings` names. It may raise OSError."""
    kind, _, folder = readings.partition(":")
    if kind != "file" or not folder:
        return read_disk
    return lambda mount: recorded_disk(Path(folder), mount)


def recorded_disk(folder: Path, mount: str) -> Disk:
    """The first line of df.txt, as the disk of `mount`: all volumes of a Mac's container share their room."""
    try:
        with (folder / "df.txt").open("rb") as file:
            found = parse_df_kp(file.read(_MOST_BYTES).decode("utf-8", "replace"))
    except FileNotFoundError:
        found = None
    if found is None:
        return Disk(mount=mount)
    return Disk(mount=mount, total_bytes=found.total_bytes, free_bytes=found.available_bytes)
