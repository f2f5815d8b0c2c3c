"""OpenSSH's own sshd and fleet's own agents on loopback: what a hundred nodes are played by."""

from __future__ import annotations

import contextlib
import getpass
import http.client
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.agent.targets import Target, fleet
from bench.gateway.kit import NotReady
from bench.gateway.processes import running
from bench.gateway.targets import free_port
from bench.poll.ways import Scene
from fleet.sim.doors.openssh import find_sshd

_AGENTS = 4
"""An agent serves 64 clients."""
_READY_SECONDS = 20.0
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


@contextlib.contextmanager
def playing(folder: Path, *, nodes: int) -> Iterator[Scene]:
    """All of it, until the end of the block. Raises NotReady."""
    sshd = find_sshd()
    if sshd is None or shutil.which("ssh-keygen") is None or sys.platform != "linux":
        raise NotReady("the benchmark wants Linux and OpenSSH's sshd: apt-get install openssh-server")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = free_port()
    (folder / "sshd_config").write_text(_CONFIG.format(port=port, folder=folder))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        command = (sshd, "-D", "-e", "-f", str(folder / "sshd_config"))
        stack.enter_context(running(command, folder / "sshd.log"))
        token = secrets.token_hex(16)
        folders = [folder / f"agent-{number}" for number in range(_AGENTS)]
        agents = [fleet(each, (), slow_seconds=30.0, token=token) for each in folders]
        for number, agent in enumerate(agents):
            stack.enter_context(running(agent.command, folder / f"agent-{number}.log", env=agent.env))
        for agent in agents:
            _wait(agent)
        yield Scene(
            ssh_port=port,
            host_key=" ".join((folder / "host.pub").read_text().split()[:2]),
            key_file=str(folder / "user"),
            user=getpass.getuser(),
            agent_ports=tuple(agent.port for agent in agents),
            token=token,
            folder=str(folder),
            nodes=nodes,
        )


def _wait(agent: Target) -> None:
    ends = time.monotonic() + _READY_SECONDS
    while time.monotonic() < ends:
        connection = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.02)
            continue
        finally:
            connection.close()
        return
    raise NotReady(f"the agent on port {agent.port} does not answer")
