"""The rig by hand: a gateway over the scripted upstream, for as long as a command runs, or until Ctrl-C.

    python -m tests.clients.rig [--port N] [--tls] [COMMAND ...]

The command finds PORT, KEY and RECORD (what the upstream was asked, JSON lines) in its environment; with --tls also CA,
the gateway's own certificate, as a node of the fleet has one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from fleet.traffic.config import Timeouts
from tests.clients.rig.front import front, scripted_upstreams

QUICK = Timeouts(first_token_seconds=2, unary_seconds=2, idle_seconds=2, commit_seconds=0.5)


def main() -> int:
    """The exit code of the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.rig")
    parser.add_argument("--port", type=int)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    said = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="fleet-rig-") as name,
        scripted_upstreams(Path(name)) as upstreams,
        front(Path(name), *upstreams, port=said.port, timeouts=QUICK, tls=said.tls) as gateway,
    ):
        environment = {"PORT": str(gateway.port), "KEY": gateway.key, "RECORD": str(gateway.record)}
        if gateway.certificate is not None:
            environment["CA"] = str(gateway.certificate)
        sys.stderr.write(f"{gateway.url}  key {gateway.key}  record {gateway.record}\n")
        if said.command:
            return subprocess.run(said.command, env={**os.environ, **environment}, check=False).returncode
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
