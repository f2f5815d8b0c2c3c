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

    def open_tcp(self, port: int, host: str = "127.0.0.1", *, within_seconds: float = 60.0) -> socket.socket:
        if self.closed or self.node in self.link.cut:
            raise Unreachable("the connection was lost", node=self.node)
        try:
            return socket.create_connection((host, port), timeout=within_seconds)
        except OSError as error:
            raise Unreachable(f"the node did not open port {port}: {error.strerror}", node=self.node) from error

    def exec(self, command: str, *, within_seconds: float = 60.0):
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


@dataclass
class LoopbackLink:
    """`down` nodes raise, `hanging` ones wait for `release`, `cut` sessions are dead until connected again."""

    down: dict[str, Exception] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    release: threading.Event = field(default_factory=threading.Event)
    connects: list[str] = field(default_factory=list)

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

    def close(self) -> None:
        self.release.set()
