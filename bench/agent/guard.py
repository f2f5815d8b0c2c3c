"""`make bench-agent-here`: what fleet's agent costs on this machine, Linux or a Mac, beside nobody else.

    python -m bench.agent.guard [--seconds N]

It starts the agent with the readings of this system, scrapes it every 5 s, and asks it at the end what it used:
`process_cpu_seconds_total`, `process_resident_memory_bytes`. Exit code: 0 below 0.5 % of a core and 40 MB, else 1.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from bench.gateway.targets import free_port
from bench.machine import ROOT

MOST_PERCENT = 0.5
MOST_MB = 40.0
_EVERY_SECONDS = 5.0
_SETTLE_SECONDS = 35.0
"""The slow tier has run once then, and the start is not counted."""
_TOKEN = "for-the-guard-only"


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench.agent.guard", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0, metavar="N", help="default 300")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        command = (sys.executable, "-m", "fleet.node.agent", "--config", str(_config(folder, port)))
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as agent:
            try:
                percent, mb = _watch(port, seconds=asked.seconds)
            finally:
                agent.terminate()
    good = percent < MOST_PERCENT and mb < MOST_MB
    print(f"{percent:.3f} % of a core (bound {MOST_PERCENT} %), {mb:.1f} MB (bound {MOST_MB:.0f} MB)", flush=True)
    return 0 if good else 1


def _config(folder: Path, port: int) -> Path:
    token = folder / "agent.token"
    token.write_text(_TOKEN)
    token.chmod(0o600)
    config = {
        "node": "here",
        "port": port,
        "token_file": str(token),
        "readings": "macos" if sys.platform == "darwin" else "linux",
        "domain": "system",
        "launchctl": "/bin/launchctl",
        "var_dir": str(folder),
        "services": [{"name": "logd", "label": "com.apple.logd"}] if sys.platform == "darwin" else [],
    }
    path = folder / "agent.json"
    path.write_text(json.dumps(config))
    return path


def _watch(port: int, *, seconds: float) -> tuple[float, float]:
    """Percent of a core and resident MiB, by the agent's own metrics."""
    time.sleep(_SETTLE_SECONDS)
    began, before = time.monotonic(), _metrics(port)["process_cpu_seconds_total"]
    while time.monotonic() < began + seconds:
        time.sleep(_EVERY_SECONDS)
        found = _metrics(port)
    used = found["process_cpu_seconds_total"] - before
    return 100 * used / (time.monotonic() - began), found["process_resident_memory_bytes"] / 2**20


def _metrics(port: int) -> dict[str, float]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {_TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"(?m)^(process_\w+) (\S+)$", text)}


if __name__ == "__main__":
    sys.exit(main())
