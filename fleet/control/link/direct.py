"""The short way to a node that ssh_config neither hides nor proxies: one connection, one command, paramiko alone.

It holds the node to its pin and logs in as `fabric_link` does, with the same parts; it does without Fabric, whose
import costs more than the handshake. Whatever it cannot do, the long way does.
"""

from __future__ import annotations

import importlib
import logging
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.control.link.deadline import Deadline

if TYPE_CHECKING:
    import socket

    from fleet.control.link.channel import SshChannel
    from fleet.control.link.keymemory import KeyMemory


@dataclass(frozen=True, kw_only=True)
class DirectPlace:
    """Where a node is and who we are there. `ssh_config` is what the files say of it, keys in lower case."""

    node: str
    address: str
    """As the inventory says it; ssh_config may have made another `host` of it."""
    host: str
    port: int
    user: str
    host_key: str
    key_file: str | None = None
    ssh_config: dict[str, Any] = field(default_factory=dict)


def load() -> None:
    """Import paramiko without `invoke`, which it wants for one keyword of ssh_config only."""
    if "paramiko" in sys.modules or "invoke" in sys.modules:
        return
    sys.modules["invoke"] = None  # type: ignore[assignment] # an import of it fails, and paramiko goes on
    try:
        importlib.import_module("paramiko")
    finally:
        del sys.modules["invoke"]
    logging.getLogger("paramiko").addHandler(logging.NullHandler())


def unload() -> None:
    """Before the long way: let paramiko have `invoke` again."""
    config = sys.modules.get("paramiko.config")
    if config is not None and getattr(config, "invoke", None) is None:
        import invoke

        config.invoke = invoke  # type: ignore[attr-defined] # the stubs do not know it
        config.invoke_import_error = None  # type: ignore[attr-defined]


class DirectSession:
    """One authenticated connection."""

    def __init__(self, place: DirectPlace, sock: socket.socket, *, memory: KeyMemory, deadline: Deadline) -> None:
        """Raises HostKeyError, AuthError, and what paramiko raises."""
        import paramiko

        from fleet.control.link.credentials import Authenticator
        from fleet.control.link.hostkeys import PinPolicy, key_types
        from fleet.control.link.identities import Identities
        from fleet.control.link.transport import tuned

        self.node = place.node
        tokens = {"h": place.host, "n": place.address, "p": str(place.port), "r": place.user}
        identities = Identities.of(place.key_file, place.ssh_config, home=Path.home(), tokens=tokens)
        where = f"{place.host} port {place.port}"
        login = Authenticator(place.user, identities, place.node, where, memory)
        self._client = paramiko.SSHClient()
        self._client.set_missing_host_key_policy(PinPolicy((place.host_key,), node=place.node, where=where))
        try:
            self._client.connect(
                place.host,
                place.port,
                place.user,
                sock=sock,
                timeout=deadline.left_seconds,
                transport_factory=lambda raw, **_: tuned(
                    raw, key_types=key_types((place.host_key,)), deadline=deadline
                ),
                auth_strategy=login,  # type: ignore[arg-type] # it has the one method that is called
            )
        except BaseException:
            sock.close()
            self.close()
            raise

    def exec(self, command: str, *, deadline: Deadline) -> SshChannel:
        """Start a command."""
        from fleet.control.link.channel import SshChannel

        transport = self._client.get_transport()
        assert transport is not None
        raw = transport.open_session(timeout=deadline.left_seconds)
        raw.settimeout(deadline.left_seconds)
        raw.exec_command(command)
        return SshChannel(raw, node=self.node, rtt_seconds=0.0)

    def close(self) -> None:
        """End the connection. Safe to call twice."""
        with suppress(OSError, EOFError):
            self._client.close()
