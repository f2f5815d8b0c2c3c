"""A fleet to look at: a project of so many nodes, OpenSSH's sshd in front of them, and what plays them behind it."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.gateway.kit import NotReady
from bench.gateway.processes import running
from bench.gateway.targets import free_port
from bench.machine import ROOT
from bench.top.moving import name_of
from fleet.control.watch.viafront import DIRECT_NODES
from fleet.sim.doors.openssh import find_sshd

_READY_SECONDS = 60.0
_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/user.pub
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PermitRootLogin prohibit-password
AllowTcpForwarding local
MaxStartups 1000
LogLevel ERROR
"""
_FRONT = {"name": "front", "daemon": {"service": "gateway", "role": "front", "env": "node"}}
_PLAYBOOK = [{"name": "front", "hosts": "front", "tasks": [_FRONT]}]


@dataclass(frozen=True)
class Scene:
    """A project folder, and the file that says whether its nodes move."""

    project: Path
    mode: Path

    def move(self, *, moving: bool) -> None:
        """From now on every answer is another, or none is."""
        self.mode.write_text("A" if moving else "I")


@contextlib.contextmanager
def playing(folder: Path, *, nodes: int) -> Iterator[Scene]:
    """All of it, until the end of the block. Raises NotReady."""
    sshd = find_sshd()
    if sshd is None or shutil.which("ssh-keygen") is None or sys.platform != "linux":
        raise NotReady("the benchmark wants Linux and OpenSSH's sshd: apt-get install openssh-server")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = free_port()
    (folder / "sshd_config").write_text(_CONFIG.format(port=port, folder=folder))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(parents=True, exist_ok=True)
    scene = Scene(folder / "project", folder / "mode")
    scene.move(moving=False)
    ports = folder / "ports.json"
    played = (sys.executable, "-m", "bench.top.played", str(nodes), str(ports), str(scene.mode))
    with contextlib.ExitStack() as stack:
        stack.enter_context(running((sshd, "-D", "-e", "-f", str(folder / "sshd_config")), folder / "sshd.log"))
        stack.enter_context(running(played, folder / "played.log", env={"PYTHONPATH": str(ROOT)}))
        _project(scene.project, folder, nodes=nodes, ssh_port=port, ports=_ports(ports))
        yield scene


def _ports(file: Path) -> list[int]:
    ends = time.monotonic() + _READY_SECONDS
    while time.monotonic() < ends:
        if file.exists():
            found: list[int] = json.loads(file.read_text())
            return found
        time.sleep(0.05)
    raise NotReady(f"nothing plays the nodes: see {file.parent}/played.log")


def _project(project: Path, folder: Path, *, nodes: int, ssh_port: int, ports: list[int]) -> None:
    """Inventory, playbook and key, all nodes adopted."""
    for name in ("inventory", "playbooks", "secrets"):
        (project / name).mkdir(parents=True)
    key = project / "secrets" / "fleet.key"
    key.touch(mode=0o600)
    key.write_text(secrets.token_hex(16))
    (project / "playbooks" / "site.yml").write_text(yaml.safe_dump(_PLAYBOOK, sort_keys=False))
    shared = {
        "ansible_host": "127.0.0.1",
        "ansible_port": ssh_port,
        "ansible_user": getpass.getuser(),
        "ansible_ssh_private_key_file": str(folder / "user"),
        "host_key": " ".join((folder / "host.pub").read_text().split()[:2]),
        "fleet_key": "file:secrets/fleet.key",
    }
    each = {name_of(number): _host(number, ports, through=nodes > DIRECT_NODES) for number in range(nodes)}
    front = dict([next(iter(each.items()))])
    rest = {name: found for name, found in each.items() if name not in front}
    inventory = {"all": {"vars": shared, "children": {"front": {"hosts": front}, "mlx": {"hosts": rest}}}}
    (project / "inventory" / "fleet.yml").write_text(yaml.safe_dump(inventory, sort_keys=False))


def _host(number: int, ports: list[int], *, through: bool) -> dict[str, int]:
    """All nodes are one address, so each has ports of its own; those that nobody asks are only numbers."""
    return {
        "agent_port": 10_000 + number if through else ports[number],
        "gateway_admin_port": ports[0] if through and number == 0 else 20_000 + number,
        "gateway_port": 30_000 + number,
        "sidecar_port": 40_000 + number,
    }
