"""SSH servers in this process (asyncssh), and OpenSSH's sshd, for tests of the link."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from fleet.control.link.fabric_link import FabricLink
from fleet.control.link.protocol import Target
from fleet.sim.ports import free_port

Serve = Callable[[asyncssh.SSHServerProcess], Awaitable[None]]


@dataclass
class Door:
    """One SSH server and what it saw."""

    port: int
    host_key: str
    key_file: Path
    auth_requests: list[str] = field(default_factory=list)
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    forwarded: list[int] = field(default_factory=list)
    cut: Callable[[], None] = lambda: None

    def target(self, **changes: Any) -> Target:
        values: dict[str, Any] = {
            "node": "mini-1",
            "address": "127.0.0.1",
            "port": self.port,
            "user": "op",
            "key_file": str(self.key_file),
            "host_key": self.host_key,
        }
        return Target(**(values | changes))


class _Server(asyncssh.SSHServer):
    def __init__(self, door: Door) -> None:
        self._door = door

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._door.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        self._door.auth_requests.append(username)
        return True

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        self._door.forwarded.append(dest_port)
        return True


async def _shell(process: asyncssh.SSHServerProcess) -> None:
    """Run the command under /bin/sh, as sshd would."""
    child = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        process.command or "",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None
    sending = asyncio.create_task(_pump(process.stdin, child.stdin))
    await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
    sending.cancel()
    process.exit(await child.wait())


async def _pump(source: Any, target: Any) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    if isinstance(target, asyncio.StreamWriter):
        target.close()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, asyncssh.SSHKey]:
    return {name: asyncssh.generate_private_key("ssh-ed25519") for name in ("user", "other", "host", "host2")}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home/.ssh").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def link(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FabricLink]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    config = home / ".ssh/config"
    config.touch()
    link = FabricLink(ssh_config=config, home=home)
    yield link
    link.close()


@pytest.fixture
def key_file(home: Path, keys: dict[str, asyncssh.SSHKey]) -> Path:
    path = home / ".ssh/fleet_key"
    keys["user"].write_private_key(str(path))
    path.chmod(0o600)
    return path


@pytest.fixture
def open_door(key_file: Path, keys: dict[str, asyncssh.SSHKey]) -> Iterator[Callable[..., Door]]:
    """Starts SSH servers: `open_door(serve=..., host="host")`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    started: list[Any] = []
    authorized = asyncssh.import_authorized_keys(keys["user"].export_public_key().decode())

    def start(serve: Serve = _shell, host: str = "host", **options: Any) -> Door:
        public = " ".join(keys[host].export_public_key().decode().split()[:2])
        door = Door(port=0, host_key=public, key_file=key_file)

        async def listen() -> Any:
            return await asyncssh.listen(
                "127.0.0.1",
                0,
                server_factory=lambda: _Server(door),
                server_host_keys=[keys[host]],
                authorized_client_keys=authorized,
                process_factory=serve,
                encoding=None,
                **options,
            )

        server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
        door.port = server.sockets[0].getsockname()[1]
        door.cut = lambda: loop.call_soon_threadsafe(lambda: [conn.abort() for conn in door.connections])
        started.append(server)
        return door

    yield start

    async def stop() -> None:
        for server in started:
            server.close()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()
        await asyncio.sleep(0)

    with contextlib.suppress(TimeoutError):
        asyncio.run_coroutine_threadsafe(stop(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


@pytest.fixture
def sshd(tmp_path: Path, key_file: Path, keys: dict[str, asyncssh.SSHKey]) -> Iterator[Door]:
    """A real OpenSSH sshd for the user who runs the tests."""
    binary = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(binary).exists():
        pytest.skip("no sshd here")
    folder = tmp_path / "sshd"
    folder.mkdir()
    keys["host"].write_private_key(str(folder / "host_key"))
    (folder / "host_key").chmod(0o600)
    (folder / "authorized_keys").write_bytes(keys["user"].export_public_key())
    port = free_port()
    lines = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host_key",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "yes",
        "AllowTcpForwarding": "yes",
    }
    (folder / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    daemon = subprocess.Popen(
        [binary, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        assert daemon.stderr is not None
        line = daemon.stderr.readline()
        assert b"listening" in line, line
        public = " ".join(keys["host"].export_public_key().decode().split()[:2])
        door = Door(port=port, host_key=public, key_file=key_file)
        yield door
    finally:
        daemon.terminate()
        daemon.wait(5)
        daemon.stderr.close()
