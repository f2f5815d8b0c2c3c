"""The agents that are compared: how each is started, and which page is scraped."""

from __future__ import annotations

import json
import secrets
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.gateway.kit import NotReady, python
from bench.gateway.targets import free_port
from bench.machine import ROOT

EXPORTER = "prometheus-node-exporter"


@dataclass(frozen=True)
class Target:
    """An agent on loopback."""

    name: str
    command: tuple[str, ...]
    port: int
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


def targets(folder: Path, services: Sequence[int], *, slow_seconds: float, peers: bool) -> tuple[Target, ...]:
    """All of them. `services` are processes for fleet's agent to watch. Raises NotReady."""
    ours = fleet(folder, services, slow_seconds=slow_seconds)
    return (ours, node_exporter(), glances()) if peers else (ours,)


def fleet(folder: Path, services: Sequence[int], *, slow_seconds: float, token: str = "") -> Target:
    """The agent as deploy runs it, with a node's locked packages, three services and its history.

    It reads Linux: what a Mac adds (libSystem by ctypes, psutil for the services) is not measured here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, token = free_port(), token or secrets.token_hex(16)
    (folder / "agent.token").write_text(token)
    (folder / "agent.token").chmod(0o600)
    launchctl = folder / "launchctl"
    launchctl.write_text(
        '#!/bin/sh\nprintf \'%s = {\\n\\tstate = running\\n\\truns = 1\\n\\tpid = %s\\n}\\n\' "$2" "${2##*.}"\n'
    )
    launchctl.chmod(launchctl.stat().st_mode | stat.S_IXUSR)
    config = {
        "node": "bench",
        "port": port,
        "token_file": str(folder / "agent.token"),
        "readings": "linux",
        "domain": "system",
        "launchctl": str(launchctl),
        "var_dir": str(folder),
        "services": [{"name": f"service-{pid}", "label": f"org.fleet-macs.{pid}"} for pid in services],
        "slow_seconds": slow_seconds,
    }
    (folder / "agent.json").write_text(json.dumps(config))
    return Target(
        name="fleet",
        command=(str(python("node")), "-m", "fleet.node.agent", "--config", str(folder / "agent.json")),
        port=port,
        path="/metrics",
        headers={"Authorization": f"Bearer {token}"},
        env={"PYTHONPATH": str(ROOT)},
    )


def node_exporter() -> Target:
    """Debian's, with the collectors that it has by default. Raises NotReady."""
    program = shutil.which(EXPORTER)
    if program is None:
        raise NotReady(f"{EXPORTER} is missing: apt-get install {EXPORTER}")
    port = free_port()
    return Target("node_exporter", (program, f"--web.listen-address=127.0.0.1:{port}"), port, "/metrics")


def glances() -> Target:
    """Its web server; nothing of it looks outside."""
    port = free_port()
    program = str(python("glances").parent / "glances")
    quiet = ("--disable-check-update", "--disable-plugin", "cloud,ip")
    return Target("glances", (program, "-w", "-B", "127.0.0.1", "-p", str(port), *quiet), port, "/api/4/all")
