"""What the process itself takes. What the system does not tell is None, never 0."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path

_STATM = Path("/proc/self/statm")
_OPEN_FILES = Path("/dev/fd")


@dataclass(frozen=True, kw_only=True)
class ProcessReading:
    """Memory in bytes: `resident` now (Linux only), `peak` the most it ever was. CPU is user and system together."""

    resident_bytes: int | None = None
    peak_bytes: int | None = None
    cpu_seconds: float | None = None
    open_files: int | None = None
    most_files: int | None = None


def read_process() -> ProcessReading:
    """The reading of this moment."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ProcessReading(
        resident_bytes=_resident(),
        peak_bytes=peak_bytes(usage.ru_maxrss, sys.platform),
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        open_files=_open_files(),
        most_files=None if soft == resource.RLIM_INFINITY else soft,
    )


def peak_bytes(maxrss: int, platform: str) -> int:
    """ru_maxrss is in bytes on macOS and in KiB on Linux."""
    return maxrss if platform == "darwin" else maxrss * 1024


def _resident() -> int | None:
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return None


def _open_files() -> int | None:
    """Without the one that the look itself opens."""
    try:
        return sum(1 for _ in _OPEN_FILES.iterdir()) - 1
    except OSError:
        return None
