"""The asyncssh door of one node: its own host key, public keys only, exec and shell, forwarding to loopback."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import asyncssh

from fleet.sim.doors.forwarding import forward
from fleet.sim.doors.latency import slow_down
from fleet.sim.doors.session import ExecSession
from fleet.sim.tree import NodeTree

CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")
"""Fast ones only: a client whose first choice is chacha20 takes one of these."""

WINDOW_BYTES = 4 * 1024 * 1024
PACKET_BYTES = 128 * 1024
LOGIN_TIMEOUT_SECONDS = 60

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def make_host_key(tree: NodeTree) -> None:
    """Give the node a new host key, in the form that both doors read."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment=tree.name)
    tree.host_key.unlink(missing_ok=True)
    key.write_private_key(str(tree.host_key))
    tree.host_key.chmod(0o600)
    key.write_public_key(f"{tree.host_key}.pub")


class SshDoor:
    """Accepts connections for one node. `latency_seconds` is added to every round trip."""

    def __init__(self, tree: NodeTree, port: int, *, user: str) -> None:
        self.latency_seconds = 0.0
        self._tree = tree
        self._port = port
        self._user = user
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._options: Any = None
        self._connections: set[Any] = set()
        self._sessions: set[ExecSession] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        if self._listener:
            return
        self._options = await asyncssh.SSHServerConnectionOptions.construct(
            server_factory=self._server,
            server_host_keys=[str(self._tree.host_key)],
            encryption_algs=list(CIPHERS),
            compression_algs=["none"],
            encoding=None,
            window=WINDOW_BYTES,
            max_pktsize=PACKET_BYTES,
            login_timeout=LOGIN_TIMEOUT_SECONDS,
            agent_forwarding=False,
            x11_forwarding=False,
            server_version="OpenSSH_9.9-simulated",
        )
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self._port))
        except OSError:
            listener.close()
            raise
        listener.listen(128)
        listener.settimeout(0)
        self._listener = listener
        self._accepting = asyncio.get_running_loop().create_task(self._accept(listener))

    async def close(self) -> None:
        """The machine goes off: connections are refused, those that are there are cut, and their processes die."""
        if self._accepting:
            self._accepting.cancel()
        if self._listener:
            self._listener.close()
        self._listener = self._accepting = None
        for connection in list(self._connections):
            connection.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(session.kill() for session in list(self._sessions)))

    def cut(self) -> None:
        """Cut every connection in mid-word, and go on listening."""
        for connection in list(self._connections):
            connection.abort()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            peer, _ = await loop.sock_accept(listener)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._serve(peer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, peer: socket.socket) -> None:
        relay: asyncio.Task[None] | None = None
        try:
            if self.latency_seconds > 0:
                peer, relay = await slow_down(peer, self.latency_seconds)
            connection = await asyncssh.run_server(peer, options=self._options)
            self._connections.add(connection)
            try:
                await connection.wait_closed()
            finally:
                self._connections.discard(connection)
        except (OSError, asyncssh.Error, TimeoutError):
            pass  # the client went away, or was not let in
        finally:
            peer.close()
            if relay:
                relay.cancel()

    def _server(self) -> asyncssh.SSHServer:
        return _Server(self._tree, self._user, self._sessions)


class _Server(asyncssh.SSHServer):  # type: ignore[misc] # asyncssh is not imported by mypy
    """Who may come in, and what they get."""

    def __init__(self, tree: NodeTree, user: str, sessions: set[ExecSession]) -> None:
        self._tree = tree
        self._user = user
        self._sessions = sessions
        self._connection: Any = None

    def connection_made(self, conn: Any) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        keys = self._tree.authorized_keys
        if username == self._user and keys.is_file() and keys.stat().st_size:
            self._connection.set_authorized_keys(str(keys))
        return True

    def session_requested(self) -> ExecSession:
        host, port = (self._connection.get_extra_info("peername") or ("127.0.0.1", 0))[:2]
        return ExecSession(self._tree.exec, f"{host} {port} 127.0.0.1 22", self._sessions)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:  # noqa: ARG002 (asyncssh's signature)
        return forward(dest_host, dest_port) if dest_host in _LOOPBACK else False
