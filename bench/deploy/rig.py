"""N nodes on this machine: OpenSSH's own sshd on an address each, near or 20 ms away, and a home that can be emptied.

Far away means two private network namespaces joined by `delaylink.c` (half the round trip each way, with TCP and its
windows real). Nothing leaves the machine. Wants root and Linux: one plain account is made for the nodes, whose shell
reads no start-up file.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.gateway.kit import BENCH, NotReady
from fleet.sim.doors.openssh import find_sshd

HERE = Path(__file__).resolve().parent
USER = "fleetbench"
PORT = 2229
STAGE = Path("/run/fleetbench")
"""In memory: no disk is in the figures. Mounted for the run; places such as /dev/shm are closed to playbooks."""
_NEAR, _FAR = "127.0.7", "10.98.0"
_CLIENT = "10.98.1.1"
_LISTENERS = 15  # sshd takes 16 addresses (MAX_LISTEN_SOCKS)
_READY_SECONDS = 20.0
_SPACES = ("fleetbench-client", "fleetbench-nodes")
_FORCED = """\
#!/bin/sh
set -- $SSH_CONNECTION
HOME={homes}/$3
export HOME
cd "$HOME" || exit 97
[ -z "$SSH_ORIGINAL_COMMAND" ] || exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
exec /bin/sh
"""
_CONFIG = """\
Port {port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
MaxStartups 10000
MaxSessions 1000
LogLevel VERBOSE
Subsystem sftp {sftp}
ForceCommand {folder}/forced.sh
"""
_SSH_CONFIG = """\
Host *
  User {user}
  Port {port}
  IdentityFile {folder}/id_ed25519
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  GSSAPIAuthentication no
  UpdateHostKeys no
  KexAlgorithms curve25519-sha256
"""


@dataclass(frozen=True, kw_only=True)
class Rig:
    """Running nodes. `folder` holds keys and configurations, `homes` a folder per address."""

    folder: Path
    homes: Path
    addresses: tuple[str, ...]
    rtt_ms: int
    servers: tuple[int, ...]

    @property
    def key(self) -> Path:
        """The one key that may log in."""
        return self.folder / "id_ed25519"

    @property
    def host_key(self) -> str:
        """Every node's, as a pin."""
        return " ".join((self.folder / "host.pub").read_text().split()[:2])

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a command of the client begins with, so that it reaches the nodes."""
        return ("ip", "netns", "exec", _SPACES[0]) if self.rtt_ms else ()

    def home(self, address: str) -> Path:
        """A node's."""
        return self.homes / address

    def counts(self) -> tuple[int, int]:
        """Connections and sessions that the nodes have seen so far."""
        said = (self.folder / "sshd.log").read_bytes()
        return said.count(b"Connection from"), said.count(b"Starting session")


@contextlib.contextmanager
def nodes(count: int, *, rtt_ms: int) -> Iterator[Rig]:
    """The nodes, until the end of the block. Raises NotReady."""
    sshd = find_sshd()
    if sshd is None or os.getuid() != 0 or not Path("/dev/net/tun").exists():
        raise NotReady("the benchmark wants root on Linux, OpenSSH's sshd and /dev/net/tun")
    folder, homes = STAGE / "rig", STAGE / "homes"
    addresses = tuple(f"{_FAR if rtt_ms else _NEAR}.{number}" for number in range(2, count + 2))
    with contextlib.ExitStack() as stack:
        stack.enter_context(_stage())
        _account(homes)
        folder.mkdir()
        _files(folder, homes, addresses)
        if rtt_ms:
            stack.enter_context(_spaces(addresses, rtt_ms))
        prefix = ("ip", "netns", "exec", _SPACES[1]) if rtt_ms else ()
        pids = []
        for first in range(0, count, _LISTENERS):
            listen = [
                word for each in addresses[first : first + _LISTENERS] for word in ("-o", f"ListenAddress={each}")
            ]
            command = [*prefix, sshd, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "sshd.log"), *listen]
            pids.append(stack.enter_context(_running(command)).pid)
        _wait(lambda: (folder / "sshd.log").read_text().count("Server listening") >= count, "sshd does not listen")
        yield Rig(folder=folder, homes=homes, addresses=addresses, rtt_ms=rtt_ms, servers=tuple(pids))


def own(path: Path) -> None:
    """Give a folder and all below it to the account of the nodes."""
    account = pwd.getpwnam(USER)
    for each in (path, *path.rglob("*")):
        os.chown(each, account.pw_uid, account.pw_gid, follow_symlinks=False)


@contextlib.contextmanager
def _stage() -> Iterator[None]:
    STAGE.mkdir(exist_ok=True)
    subprocess.run(["umount", "-q", str(STAGE)], check=False, capture_output=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(STAGE)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(STAGE)], check=False)


def _sftp() -> str:
    places = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")
    return next((place for place in places if Path(place).exists()), places[0])


def _account(homes: Path) -> None:
    homes.mkdir(parents=True, exist_ok=True)
    try:
        pwd.getpwnam(USER)
    except KeyError:
        subprocess.run(["useradd", "-M", "-d", "/", "-s", "/bin/sh", "-p", "*", USER], check=True)


def _files(folder: Path, homes: Path, addresses: Sequence[str]) -> None:
    for name in ("host", "id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "id_ed25519.pub", folder / "authorized_keys")
    key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text("".join(f"[{each}]:{PORT} {key}\n" for each in addresses))
    (folder / "sshd_config").write_text(_CONFIG.format(port=PORT, folder=folder, sftp=_sftp()))
    (folder / "ssh_config").write_text(_SSH_CONFIG.format(port=PORT, folder=folder, user=USER))
    (folder / "forced.sh").write_text(_FORCED.replace("{homes}", str(homes)))
    (folder / "forced.sh").chmod(0o755)
    (folder / "sshd.log").touch()
    (folder / "hosts").write_text("".join(f"{each}\n" for each in addresses))
    Path("/run/sshd").mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _spaces(addresses: Sequence[str], rtt_ms: int) -> Iterator[None]:
    client, far = _SPACES
    link = BENCH / "bin/delaylink"
    link.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", "-o", str(link), str(HERE / "delaylink.c")], check=True)
    for name in _SPACES:
        _ip("netns", "del", name, check=False)
        _ip("netns", "add", name)
    try:
        command = [str(link), *(f"/run/netns/{name}" for name in _SPACES), str(rtt_ms)]
        with _running(command):
            _wait(lambda: all(_ip("-n", name, "link", "show", "fbtun", check=False) for name in _SPACES), "no tun")
            for name in _SPACES:
                _ip("-n", name, "link", "set", "lo", "up")
                _ip("-n", name, "link", "set", "fbtun", "txqueuelen", "20000", "up")
            _ip("-n", client, "addr", "add", f"{_CLIENT}/32", "dev", "fbtun")
            _ip("-n", client, "route", "add", f"{_FAR}.0/24", "dev", "fbtun", "src", _CLIENT)
            for each in addresses:
                _ip("-n", far, "addr", "add", f"{each}/32", "dev", "fbtun")
            _ip("-n", far, "route", "add", f"{_CLIENT}/32", "dev", "fbtun")
            yield
    finally:
        for name in _SPACES:
            _ip("netns", "del", name, check=False)


@contextlib.contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _ip(*words: str, check: bool = True) -> bool:
    return subprocess.run(["ip", *words], check=check, capture_output=True).returncode == 0


def _wait(true: Callable[[], bool], otherwise: str) -> None:
    ends = time.monotonic() + _READY_SECONDS
    while not true():
        if time.monotonic() > ends:
            raise NotReady(otherwise)
        time.sleep(0.02)
