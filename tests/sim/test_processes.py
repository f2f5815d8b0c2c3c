"""What a simulation started is ended, wherever it went."""

from __future__ import annotations

import os
import subprocess
import sys

from fleet.sim.processes import MARK, end_marked, marked

BEARS_A_CHILD = """
import os, signal, subprocess, sys, time
def bear(*_):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    os._exit(0)
signal.signal(signal.SIGTERM, bear)
print("ready", flush=True)
time.sleep(600)
"""


def test_a_process_that_starts_another_one_while_it_is_ended_leaves_nothing() -> None:
    marker = f"born-{os.getpid()}"
    parent = subprocess.Popen(
        [sys.executable, "-c", BEARS_A_CHILD], env={**os.environ, MARK: marker}, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    assert end_marked(marker) == 2
    parent.wait(10)
    assert marked(marker) == []
