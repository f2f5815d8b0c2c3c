"""The other door: OpenSSH's own sshd for one node, every command forced through the same wrapper.

It works as root and as an ordinary user, who can then log in as himself only. The daemon is started detached in a
session of its own and ends with `stop`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import FleetError
from fleet.sim.doors.listener import make_host_key
from fleet.sim.processes import MARK
from fleet.sim.tree import NodeTree

READY_SECONDS = 10.0
_PLACES = ("/usr/sbin/sshd", "/usr/local/sbin/sshd", "/opt/homebrew/sbin/sshd", "/usr/bin/sshd")


def find_sshd() -> str | None:
    """The absolute path of this machine's sshd (it insists on being called by one), or None."""
    found = shutil.which("sshd")
    return found or next((place for place in _PLACES if os.access(place, os.X_OK)), None)


def sshd_config(tree: NodeTree, *, port: int) -> str:
    """The whole configuration. Only the simulation's keys, no passwords, forwarding for ProxyJump and channels."""
    folder = tree.host_key.parent
    lines = (
        "# Made by fleet sim: a simulated Mac.",
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f'HostKey "{tree.host_key}"',
        f'PidFile "{folder}/sshd.pid"',
        f'AuthorizedKeysFile "{tree.authorized_keys}"',
        "StrictModes no",
        "PubkeyAuthentication yes",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "UsePAM no",
        "AllowTcpForwarding yes",
        "AllowAgentForwarding no",
        "X11Forwarding no",
        "PrintMotd no",
        "PrintLastLog no",
        "AcceptEnv LANG LC_*",
        "MaxSessions 10",
        "MaxStartups 10:30:100",
        "LogLevel VERBOSE",
        f"ForceCommand {shlex.quote(str(tree.exec))}",
    )
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class OpenSshDoor:
    """A running or stopped sshd of one node."""

    tree: NodeTree
    port: int

    @property
    def log(self) -> Path:
        """What sshd says."""
        return self.tree.host_key.parent / "sshd.log"

    def start(self) -> None:
        """Start sshd and wait until it listens. Raises FleetError."""
        program = find_sshd()
        if program is None:
            raise FleetError("there is no sshd on this machine", hint="apt-get install openssh-server; a Mac has one")
        if not self.tree.host_key.exists():
            make_host_key(self.tree)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(
                parents=True, exist_ok=True
            )  # privilege separation wants it, and containers lack it
        config = self.tree.host_key.parent / "sshd_config"
        config.write_text(sshd_config(self.tree, port=self.port))
        command: Sequence[str] = (program, "-f", str(config), "-E", str(self.log))
        environment = {**os.environ, MARK: self.tree.said("marker") or ""}
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if answer.returncode or not self._listens():
            said = self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""
            raise FleetError(f"sshd of {self.tree.name} does not start", detail=(answer.stderr + said).strip())

    def stop(self) -> None:
        """End sshd and the sessions of it. Nothing happens when it does not run."""
        pid_file = self.tree.host_key.parent / "sshd.pid"
        try:
            pid = int(pid_file.read_text())
        except (OSError, ValueError):
            return
        import psutil

        try:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        except psutil.Error:
            family = []
        for process in family:
            try:
                process.send_signal(signal.SIGTERM)
            except psutil.Error:
                continue
        _, alive = psutil.wait_procs(family, timeout=3)
        for process in alive:
            process.kill()
        pid_file.unlink(missing_ok=True)

    def _listens(self) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return True
            except OSError:
                time.sleep(0.02)
        return False
