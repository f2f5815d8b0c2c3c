"""Panic reports: a Mac that died and came back shows it in files (FACTS section 4.9). Names and times only are read."""

from __future__ import annotations

import os
from pathlib import Path

from fleet.vocabulary.contracts.snapshot import Panics

REPORTS = Path("/Library/Logs/DiagnosticReports")
"""Readable by the group `admin`."""


def panic_folder(readings: str) -> Path | None:
    """Where the reports lie of the machine that `readings` names; None where there are none."""
    kind, _, folder = readings.partition(":")
    if kind == "file" and folder:
        return Path(folder) / "DiagnosticReports"
    return REPORTS if kind == "macos" else None


def read_panics(folder: Path | None) -> Panics:
    """The panic reports in `folder`; unknown where there is no such folder. Raises OSError when it may not be read."""
    if folder is None:
        return Panics()
    try:
        with os.scandir(folder) as entries:
            found = [
                (entry.stat(follow_symlinks=False).st_mtime, entry.name) for entry in entries if _is_panic(entry.name)
            ]
    except FileNotFoundError:
        return Panics()
    if not found:
        return Panics(count=0)
    at, name = max(found)
    return Panics(count=len(found), newest_at_seconds=at, newest_name=name)


def _is_panic(name: str) -> bool:
    """`panic-full-2026-11-22-031500.0002.panic`, or `panic-base-....ips` as some releases have it."""
    return name.endswith(".panic") or (name.startswith("panic-") and name.endswith(".ips"))
