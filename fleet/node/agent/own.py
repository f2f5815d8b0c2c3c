"""The agent's own size. Linux says it in a file; elsewhere psutil does."""

from __future__ import annotations

import os
from pathlib import Path

from fleet.node.agent.processes import Processes

_STATM = Path("/proc/self/statm")
_RESIDENT = 1


def resident_bytes() -> int | None:
    """Resident memory of this process. Raises OSError, and ImportError where psutil is needed and absent."""
    try:
        words = _STATM.read_text(encoding="ascii").split()
    except FileNotFoundError:
        read = Processes().read(os.getpid())
        return read.resident_bytes if read else None
    return int(words[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE")
