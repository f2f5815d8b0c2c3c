"""Ways to poll: bare HTTP (the floor), paramiko as it comes, and fleet's own poller over its own link."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import msgspec

from fleet.control.inventory.node import Node
from fleet.control.inventory.settings import NodeSettings
from fleet.control.link.fabric_link import FabricLink
from fleet.control.watch.poll import Poller
from fleet.control.watch.view import Reach
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.names import GroupName, NodeName
from fleet.vocabulary.secret import Secret

_PATH = "/v1/snapshot"
_THREADS = 16
_CONNECT_SECONDS = 60.0


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Where the nodes are: one sshd, and agents behind it that the nodes share."""

    ssh_port: int
    host_key: str
    key_file: str
    user: str
    agent_ports: tuple[int, ...]
    token: str
    folder: str
    nodes: int

    def agent_port(self, node: int) -> int:
        """Of a node by its number."""
        return self.agent_ports[node % len(self.agent_ports)]


class Way(Protocol):
    """One way. `connect` is before everything else."""

    def connect(self) -> None:
        """Connect all nodes, and ask each once."""
        ...

    def ask(self, nodes: Sequence[int]) -> int:
        """Ask these nodes at once; how many gave no whole answer."""
        ...

    def close(self) -> None:
        """End every connection."""
        ...


class Direct:
    """Plain HTTP over kept connections, no SSH."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._request = _request(scene.token)
        self._sockets: list[socket.socket] = []
        self._pool = ThreadPoolExecutor(_THREADS)

    def connect(self) -> None:
        """See Way."""
        for node in range(self._scene.nodes):
            self._sockets.append(socket.create_connection(("127.0.0.1", self._scene.agent_port(node))))
        self.ask(range(self._scene.nodes))

    def ask(self, nodes: Sequence[int]) -> int:
        """See Way."""
        if len(nodes) == 1:
            return self._one(nodes[0])
        return sum(self._pool.map(self._one, nodes))

    def close(self) -> None:
        """See Way."""
        for sock in self._sockets:
            sock.close()
        self._pool.shutdown()

    def _one(self, node: int) -> int:
        self._sockets[node].sendall(self._request)
        return 0 if _whole(self._sockets[node]) else 1


class Stock:
    """paramiko's Transport with nothing set, and a new channel for every request."""

    def __init__(self, scene: Scene) -> None:
        import paramiko

        self._scene, self._request = scene, _request(scene.token)
        self._key = paramiko.Ed25519Key.from_private_key_file(scene.key_file)
        self._transports: list[paramiko.Transport] = []
        self._pool = ThreadPoolExecutor(_THREADS)

    def connect(self) -> None:
        """See Way."""
        self._transports = list(self._pool.map(self._dial, range(self._scene.nodes)))
        self.ask(range(self._scene.nodes))

    def ask(self, nodes: Sequence[int]) -> int:
        """See Way."""
        if len(nodes) == 1:
            return self._one(nodes[0])
        return sum(self._pool.map(self._one, nodes))

    def close(self) -> None:
        """See Way."""
        for transport in self._transports:
            transport.close()
        self._pool.shutdown()

    def _dial(self, _node: int):  # type: ignore[no-untyped-def] # a paramiko.Transport, which is imported late
        import paramiko

        transport = paramiko.Transport(socket.create_connection(("127.0.0.1", self._scene.ssh_port)))
        transport.start_client(timeout=_CONNECT_SECONDS)
        transport.auth_publickey(self._scene.user, self._key)
        return transport

    def _one(self, node: int) -> int:
        place = ("127.0.0.1", self._scene.agent_port(node))
        channel = self._transports[node].open_channel("direct-tcpip", place, ("127.0.0.1", 0))
        channel.sendall(self._request)
        whole = _whole(channel)
        channel.close()
        return 0 if whole else 1


class Fleet:
    """What `fleet status --watch` and `fleet top` do."""

    def __init__(self, scene: Scene) -> None:
        self._nodes = [
            Node(NodeName(f"n{number}"), (GroupName("all"),), {}, _settings(scene, number), "bench:1:1")
            for number in range(scene.nodes)
        ]
        empty = Path(scene.folder) / "ssh_config"
        empty.write_text("")
        self._link = FabricLink(ssh_config=empty, home=Path(scene.folder))
        token = Secret(scene.token)
        self._poller = Poller(
            self._link, token_for=lambda _: token, clock=SystemClock(), timeout_seconds=_CONNECT_SECONDS
        )

    def connect(self) -> None:
        """See Way."""
        if self.ask(range(len(self._nodes))):
            raise RuntimeError("a node does not answer")

    def ask(self, nodes: Sequence[int]) -> int:
        """See Way."""
        found = self._poller.poll([self._nodes[number] for number in nodes])
        return sum(sighting.reach is not Reach.ANSWERED for sighting in found.values())

    def close(self) -> None:
        """See Way."""
        self._poller.close()
        self._link.close()


def _settings(scene: Scene, number: int) -> NodeSettings:
    return NodeSettings(
        address="127.0.0.1",
        ssh_port=scene.ssh_port,
        ssh_user=scene.user,
        ssh_key_file=scene.key_file,
        host_key=scene.host_key,
        agent_port=scene.agent_port(number),
    )


def _request(token: str) -> bytes:
    return f"GET {_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


class _Readable(Protocol):
    def recv(self, limit: int, /) -> bytes: ...


def _whole(stream: _Readable) -> bool:
    """Read one answer, and parse it as little as can be."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        part = stream.recv(65536)
        if not part:
            raise http.client.RemoteDisconnected("it hung up")
        data += part
    head = data[:end].lower()
    at = head.index(b"content-length: ") + 16
    wanted = end + 4 + int(head[at:].split(b"\r", 1)[0])
    while len(data) < wanted:
        data += stream.recv(65536)
    return head.startswith(b"http/1.1 200")
