"""Whether a process is root on its simulated Mac, where nobody really is.

The simulated sudo and launchd mark what they start (FLEET_SIM_ROOT); the nearest marked ancestor decides, so a
process that cleans its environment is still what it was started as. macOS hides the environment of Apple's own
programs (/bin/sh): where no mark can be seen there, the caller passes for root.
"""

from __future__ import annotations

import sys
from collections.abc import Collection

import psutil

MARK = "FLEET_SIM_ROOT"
MAX_ANCESTORS = 64


def is_root(pid: int, *, root_jobs: Collection[int] = ()) -> bool:
    """Whether the process, or the nearest marked one above it, was started by the simulated sudo or as a root job.

    `root_jobs`: pids that launchd itself knows as root's.
    """
    try:
        process: psutil.Process | None = psutil.Process(pid)
        for _ in range(MAX_ANCESTORS):
            if process is None:
                break
            if process.pid in root_jobs:
                return True
            mark = process.environ().get(MARK)
            if mark is not None:
                return mark == "1"
            process = process.parent()
    except psutil.Error:
        pass
    return sys.platform == "darwin"
