"""The folder of one simulated Mac: where everything of it lies, and how it is laid out at first.

NODE/
  home/                    the account's home; .ssh/authorized_keys
  opt/fleet/               fleet's root on the node
  Library/LaunchDaemons/   plists; Library/Logs/DiagnosticReports/ holds panics
  etc/sudoers.d/           sudo drop-ins
  tmp/                     TMPDIR
  sim/exec                 the wrapper that both SSH doors run every command through
  sim/bin/, sim/lib/       the simulated macOS commands
  sim/readings/            what the agent reads and the commands print: sysctl, vm_stat, thermal, df, ...
  sim/state/               who and how: user, marker, python, os, sudo, filevault, ...; launchd's log
  sim/run/                 launchd's FIFO and replies
  sim/ssh/                 the host key
"""

from __future__ import annotations

import getpass
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from fleet.sim import hardware
from fleet.sim.hardware import Hardware

PASSWORD = "simulated"
"""What the simulated sudo takes as the account's password. It guards nothing."""

_MACOS = Path(__file__).parent / "macos"
_STUBS = ("python3", "pip3", "git", "make", "clang", "cc", "gcc")
_ABSENT = (
    "timeout", "nproc", "flock", "setsid", "ss", "ip", "systemctl", "free", "getent", "useradd", "sha256sum",
    "md5sum", "taskset", "journalctl",
)  # fmt: skip


@dataclass(frozen=True)
class NodeTree:
    """The paths of one simulated node."""

    path: Path

    @property
    def name(self) -> str:
        """The node's name: its folder's."""
        return self.path.name

    @property
    def home(self) -> Path:
        """The account's home."""
        return self.path / "home"

    @property
    def root(self) -> Path:
        """Fleet's root."""
        return self.path / "opt" / "fleet"

    @property
    def daemons(self) -> Path:
        """/Library/LaunchDaemons."""
        return self.path / "Library" / "LaunchDaemons"

    @property
    def panics(self) -> Path:
        """/Library/Logs/DiagnosticReports."""
        return self.path / "Library" / "Logs" / "DiagnosticReports"

    @property
    def sudoers(self) -> Path:
        """/etc/sudoers.d."""
        return self.path / "etc" / "sudoers.d"

    @property
    def tmp(self) -> Path:
        """TMPDIR."""
        return self.path / "tmp"

    @property
    def bin(self) -> Path:
        """The simulated commands."""
        return self.path / "sim" / "bin"

    @property
    def exec(self) -> Path:
        """The wrapper of both SSH doors."""
        return self.path / "sim" / "exec"

    @property
    def readings(self) -> Path:
        """What the agent reads with `readings: file:...`."""
        return self.path / "sim" / "readings"

    @property
    def state(self) -> Path:
        """State files."""
        return self.path / "sim" / "state"

    @property
    def run(self) -> Path:
        """The launchd's FIFO and replies."""
        return self.path / "sim" / "run"

    @property
    def host_key(self) -> Path:
        """The private host key, for both doors."""
        return self.path / "sim" / "ssh" / "host_key"

    @property
    def authorized_keys(self) -> Path:
        """Whose keys may log in."""
        return self.home / ".ssh" / "authorized_keys"

    def say(self, name: str, *lines: str) -> None:
        """Write a state file, whole or not at all."""
        part = self.state / f"{name}.part"
        part.write_text("".join(f"{line}\n" for line in lines))
        part.replace(self.state / name)

    def forget(self, name: str) -> None:
        """Remove a state file."""
        (self.state / name).unlink(missing_ok=True)

    def said(self, name: str) -> str | None:
        """A state file's first line, or None."""
        try:
            return (self.state / name).read_text().partition("\n")[0]
        except OSError:
            return None


def base_interpreter() -> str:
    """The absolute path of the Python that this one's venv stands on: the interpreter of simulated nodes."""
    return str(Path(getattr(sys, "_base_executable", sys.executable) or sys.executable).resolve())


def make_tree(path: Path, *, marker: str, hardware_of: Hardware | None = None) -> NodeTree:
    """Lay a node out, or bring an old one's scripts up to date. State that is there stays."""
    tree = NodeTree(path)
    mac = hardware_of or Hardware()
    for folder in (tree.home / ".ssh", tree.root, tree.daemons, tree.panics, tree.sudoers, tree.tmp, tree.bin,
                   tree.path / "sim" / "lib", tree.readings, tree.state, tree.run, tree.host_key.parent):  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
    tree.host_key.parent.chmod(0o700)
    (tree.home / ".ssh").chmod(0o700)
    _install_commands(tree)
    tree.say("user", getpass.getuser())
    tree.say("marker", marker)
    tree.say("python", base_interpreter())
    tree.say("password", PASSWORD)
    defaults = {"os": (mac.os_version, mac.os_build), "sudo": ("nopasswd",), "filevault": ("Off",)}
    for name, lines in defaults.items():
        if tree.said(name) is None:
            tree.say(name, *lines)
    texts = {
        tree.readings / "sysctl.txt": "".join(f"{key}: {value}\n" for key, value in mac.sysctl().items()),
        tree.readings / "vm_stat.txt": mac.vm_stat(),
        tree.readings / "thermal.txt": "com.apple.system.thermalpressurelevel 0\n",
        tree.readings / "pmset.txt": hardware.PMSET_CUSTOM,
        tree.readings / "df.txt": hardware.df_text(hardware.DISK_FREE_BYTES),
        tree.state / "therm.txt": hardware.PMSET_THERM,
        tree.state / "ioreg.txt": hardware.IOREG,
    }
    for file, text in texts.items():
        if not file.exists():
            file.write_text(text)
    reports = tree.readings / "DiagnosticReports"
    if not reports.is_symlink():
        reports.symlink_to(os.path.relpath(tree.panics, tree.readings))
    return tree


def _install_commands(tree: NodeTree) -> None:
    for source in sorted((_MACOS / "bin").iterdir()):
        _install(source, tree.bin / source.name)
    for source in sorted((_MACOS / "lib").iterdir()):
        if source.is_file():
            _install(source, tree.path / "sim" / "lib" / source.name)
    for name in _STUBS:
        _install(_MACOS / "lib" / "stub.sh", tree.bin / name)
    for name in _ABSENT:
        _install(_MACOS / "lib" / "absent.sh", tree.bin / name)
    _install(_MACOS / "exec.sh", tree.exec)


def _install(source: Path, target: Path) -> None:
    """Copy aside and rename: a script that runs just now keeps its old content."""
    part = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, part)
    part.chmod(0o755)
    part.replace(target)
