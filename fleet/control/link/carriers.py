"""The link that a node asks for (`link:` in the inventory), made when the first node does."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.control.link.protocol import CONNECT_SECONDS, Link, Session, Target

if TYPE_CHECKING:
    from fleet.control.link.openssh.link import Tell


class Carriers:
    """One link per carrier, behind one. `keys` is the folder that remembers which key a node accepted last.

    `tell` hears what ssh waits for. Without it nobody is told.
    """

    def __init__(
        self,
        *,
        nodes: Iterable[Target] = (),
        keys: Path | None = None,
        tell: Tell | None = None,
        ssh_config: Path | None = None,
    ) -> None:
        self._nodes = tuple(nodes)
        self._keys = keys
        self._tell = tell
        self._ssh_config = ssh_config
        self._lock = threading.Lock()
        self._links: dict[str, Link] = {}

    def connect(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> Session:
        """A session with the node behind its pinned key. Raises Unreachable, HostKeyError, AuthError."""
        return self._link(target.carrier).connect(target, deadline_seconds=deadline_seconds)

    def host_key(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> str:
        """The key that the node shows, `ssh-ed25519 AAAA...`; nothing is offered to it. Raises Unreachable."""
        return self._link(target.carrier).host_key(target, deadline_seconds=deadline_seconds)

    def close(self) -> None:
        """End what sessions share."""
        with self._lock:
            links, self._links = list(self._links.values()), {}
        for link in links:
            link.close()

    def _link(self, carrier: str) -> Link:
        with self._lock:
            if carrier not in self._links:
                self._links[carrier] = self._made(carrier)
            return self._links[carrier]

    def _made(self, carrier: str) -> Link:
        if carrier == "openssh":
            from fleet.control.link.openssh.link import OpenSshLink

            made = OpenSshLink(config=self._ssh_config)
            return made if self._tell is None else OpenSshLink(config=self._ssh_config, tell=self._tell)
        from fleet.control.link.fabric_link import FabricLink
        from fleet.control.link.keymemory import KeyMemory

        return FabricLink(nodes=self._nodes, ssh_config=self._ssh_config, memory=KeyMemory(self._keys))
