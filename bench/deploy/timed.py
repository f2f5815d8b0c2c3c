"""One command and what it costs, as JSON on stdout: wall and processor seconds, the largest process, the exit code.

A process of its own, so that it is the reaper of whatever the command leaves behind (a tool's kept connections), and
of nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

_BE_REAPER = 36  # linux/prctl.h: PR_SET_CHILD_SUBREAPER


def main(command: list[str]) -> int:
    """Run the command, then end and count what it left."""
    ctypes.CDLL(None).prctl(_BE_REAPER, 1, 0, 0, 0)
    began = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    wall = time.monotonic() - began
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGTERM)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {
        "wall_s": wall,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
        "code": done.returncode,
        "said": (done.stdout + done.stderr)[-600:],
    }
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
