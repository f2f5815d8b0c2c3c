"""A link that opens loopback sockets instead of SSH channels, and nodes for it."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field

from fleet.control.inventory.node import Node
from fleet.control.inventory.settings import NodeSettings
from fleet.errors import Unreachable
from fleet.vocabulary.names import NodeName


def a_node(name: str, *, port: int = 1, adopted: bool = True, groups: tuple[str, ...] = ("all", "mlx")) -> Node:
    settings = NodeSettings(host_key="ssh-ed25519 AAAA" if adopted else None, agent_port=port)
    return Node(NodeName(name), groups, {}, settings, "fleet.yml:1:1")


@dataclass
class LoopbackSession:
    node: str
    link: LoopbackLink
    closed: bool = False
    key_fingerprint: str | None = None

    def open_tcp(self, port: int, host: str = "127.0.0.1", *, within_seconds: float = 60.0) -> LoopbackStream:
        if self.closed or self.node in self.link.cut:
            raise Unreachable("the connection was lost", node=self.node)
        self.link.opened.append(f"{self.node}:{port}")
        try:
            stream = LoopbackStream(socket.create_connection((host, port), timeout=within_seconds), self)
        except OSError as error:
            raise Unreachable(f"the node did not open port {port}: {error.strerror}", node=self.node) from error
        self.link.streams.append(stream)
        return stream

    def exec(self, command: str, *, within_seconds: float = 60.0):
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


@dataclass
class LoopbackStream:
    """A socket that is lost with its session."""

    socket: socket.socket
    session: LoopbackSession

    def settimeout(self, seconds: float | None, /) -> None:
        self.socket.settimeout(seconds)

    def recv(self, limit: int, /) -> bytes:
        self._check()
        self.session.link.traffic.append(("waits", self.session.node))
        if self.session.node in self.session.link.mute:
            raise TimeoutError("timed out")
        return self.socket.recv(limit)

    def sendall(self, data: bytes, /) -> None:
        self._check()
        self.session.link.traffic.append(("sent", self.session.node))
        self.socket.sendall(data)

    def close(self) -> None:
        self.socket.close()

    def _check(self) -> None:
        if self.session.closed or self.session.node in self.session.link.cut:
            raise ConnectionError("the connection was lost")


@dataclass
class LoopbackLink:
    """`down` nodes raise, `hanging` ones wait for `release`, `cut` sessions are dead until connected again, and the
    answers of `mute` nodes never come. `traffic` is what was sent and waited for, in its order.
    """

    down: dict[str, Exception] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    release: threading.Event = field(default_factory=threading.Event)
    connects: list[str] = field(default_factory=list)
    mute: set[str] = field(default_factory=set)
    opened: list[str] = field(default_factory=list)
    traffic: list[tuple[str, str]] = field(default_factory=list)
    streams: list[LoopbackStream] = field(default_factory=list)

    def connect(self, target, *, deadline_seconds: float = 15.0) -> LoopbackSession:
        self.connects.append(target.node)
        self.cut.discard(target.node)
        if target.node in self.hanging:
            self.release.wait(20)
        if target.node in self.down:
            raise self.down[target.node]
        return LoopbackSession(target.node, self)

    def host_key(self, target, *, deadline_seconds: float = 15.0) -> str:
        raise NotImplementedError

    def hang_up_streams(self) -> None:
        """What a service does that is started again: the sessions live on."""
        for stream in self.streams:
            stream.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.release.set()
